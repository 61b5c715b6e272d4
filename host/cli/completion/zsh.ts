/** The script for zsh: descriptions beside what can follow. */
import type { Option } from '../command.ts';
import { aliasesOf, type Grammar, type Place, spellings, valuesOf } from './places.ts';

export function zshScript(grammar: Grammar): string {
  const { places, globals } = grammar;
  return `#compdef kata-runtime kata-ctl
# Completion of kata-runtime and kata-ctl for zsh, made by "kata-runtime completion zsh".

_kata_runtime_commands() {
  case $1 in
${cases(places, ({ commands }) => commands.map(({ name, summary }) => described(name, summary)))}
  esac
}
_kata_runtime_options() {
  case $1 in
${cases(places, ({ options }) => options.flatMap(describedOption))}
  esac
  known+=(${globals.flatMap(describedOption).join(' ')})
}
_kata_runtime_value() {
  reply=
  case $1:$2 in
${valuesOf(grammar)
  .map(({ patterns, kind }) => `    ${patterns.join(' | ')}) reply='${kind}' ;;`)
  .join('\n')}
  esac
}
_kata_runtime_alias() {
  reply=$1
  case $1 in
${aliasesOf(grammar)
  .map(({ name, aliases }) => `    ${aliases.join(' | ')}) reply=${name} ;;`)
  .join('\n')}
  esac
}

_kata_runtime() {
  local word place='' skip='' last='' kind='' reply='' i operand=0
  local -a known
  for ((i = 2; i < CURRENT; i++)); do
    word=\${(Q)words[i]}
    if [[ -n $skip ]]; then
      skip=''
      continue
    fi
    case $word in
      --) _files; return ;;
      -*=*) ;;
      -*)
        last=$word
        _kata_runtime_value "$place" "$word"
        [[ -n $reply ]] && skip=1
        ;;
      *)
        known=()
        _kata_runtime_commands "$place"
        [[ -z $place ]] && _kata_runtime_alias "$word" && word=$reply
        if (( \${known[(I)$word:*]} )); then
          place="\${place:+$place }$word"
        else
          (( operand++ ))
        fi
        ;;
    esac
  done
  known=()
  _kata_runtime_commands "$place"
  if [[ -n $skip ]]; then
    _kata_runtime_value "$place" "$last"
    kind=$reply
  elif [[ $PREFIX == --*=* ]]; then
    _kata_runtime_value "$place" "\${PREFIX%%=*}"
    kind=$reply
    compset -P '*='
  elif [[ $PREFIX == -* ]]; then
    known=()
    _kata_runtime_options "$place"
    _describe option known
    return
  elif (( $#known )); then
    _describe command known
    return
  else
    _kata_runtime_value "$place" "$operand"
    kind=$reply
  fi
  case $kind in
    '='*) compadd -- \${=kind#=} ;;
    sandbox) compadd -- \${(f)"$(_call_program sandboxes \${(q)words[1]} list -q 2>/dev/null)"} ;;
    file) _files ;;
    directory) _files -/ ;;
  esac
}

if [[ $funcstack[1] == _kata_runtime || $funcstack[1] == _kata-runtime ]]; then
  _kata_runtime "$@"
elif (( $+functions[compdef] )); then
  compdef _kata_runtime kata-runtime kata-ctl
fi
`;
}

/** `name:description`, in single quotes. */
function described(name: string, summary: string): string {
  return quoted(`${name.replaceAll(':', '\\:')}:${summary}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function describedOption(option: Option): string[] {
  return spellings(option).map((name) => described(name, option.summary));
}

function cases(places: readonly Place[], words: (place: Place) => readonly string[]): string {
  return places
    .map((place) => [place.key, words(place)] as const)
    .filter(([, list]) => list.length > 0)
    .map(([key, list]) => `    '${key}') known=(${list.join(' ')}) ;;`)
    .join('\n');
}
