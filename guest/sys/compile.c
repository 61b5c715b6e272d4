/*
 * Compiles a script to QuickJS byte code, written as a C array. Runs on the build machine; made from the same QuickJS
 * source as the agent, since byte code fits one version only.
 *
 *   compile SCRIPT.js OUTPUT.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "quickjs.h"

#define BYTES_PER_LINE 24

static char *read_script(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) < 0) return NULL;
  long size = ftell(file);
  rewind(file);
  /* JS_Eval wants a NUL after the text. */
  char *text = size < 0 ? NULL : calloc(1, (size_t)size + 1);
  if (text && fread(text, 1, (size_t)size, file) != (size_t)size) return NULL;
  fclose(file);
  *length = (size_t)size;
  return text;
}

static int write_array(const char *path, const uint8_t *data, size_t length) {
  FILE *file = fopen(path, "w");
  if (!file) return -1;
  fprintf(file, "#include <stddef.h>\n#include <stdint.h>\n\nconst size_t agent_bytecode_size = %zu;\n", length);
  fprintf(file, "const uint8_t agent_bytecode[] = {");
  for (size_t i = 0; i < length; i++) fprintf(file, "%s%u,", i % BYTES_PER_LINE ? "" : "\n", data[i]);
  fprintf(file, "\n};\n");
  return fclose(file);
}

int main(int argc, char **argv) {
  size_t length, size;
  if (argc != 3) {
    fprintf(stderr, "usage: compile SCRIPT.js OUTPUT.c\n");
    return 2;
  }
  char *text = read_script(argv[1], &length);
  JSContext *ctx = JS_NewContext(JS_NewRuntime());
  if (!text || !ctx) {
    perror(argv[1]);
    return 1;
  }
  JSValue code = JS_Eval(ctx, text, length, "agent", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(code)) {
    const char *message = JS_ToCString(ctx, JS_GetException(ctx));
    fprintf(stderr, "%s: %s\n", argv[1], message ? message : "syntax error");
    return 1;
  }
  /* The source is left out; lines and function names stay, for the stacks of exceptions. */
  uint8_t *data = JS_WriteObject(ctx, &size, code, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE);
  if (!data || write_array(argv[2], data, size) < 0) {
    perror(argv[2]);
    return 1;
  }
  return 0;
}
