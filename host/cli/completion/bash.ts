/** The script for bash, without the help of the package bash-completion. */
import { aliasesOf, type Grammar, type Place, spellings, valuesOf } from './places.ts';

export function bashScript(grammar: Grammar): string {
  const { places, globals } = grammar;
  return `# Completion of kata-runtime and kata-ctl for bash, made by "kata-runtime completion bash".

# What can follow: commands, options, and by option or number of the word what a value is.
_kata_runtime_commands() {
  case $1 in
${cases(places, ({ commands }) => commands.map(({ name }) => name))}
  esac
}
_kata_runtime_options() {
  case $1 in
${cases(places, ({ options }) => options.flatMap(spellings))}
  esac
  echo '${globals.flatMap(spellings).join(' ')}'
}
_kata_runtime_value() {
  case $1:$2 in
${valuesOf(grammar)
  .map(({ patterns, kind }) => `    ${patterns.join(' | ')}) echo '${kind}' ;;`)
  .join('\n')}
  esac
}
_kata_runtime_alias() {
  case $1 in
${aliasesOf(grammar)
  .map(({ name, aliases }) => `    ${aliases.join(' | ')}) echo ${name} ;;`)
  .join('\n')}
    *) echo "$1" ;;
  esac
}

_kata_runtime() {
  local word path='' operand=0 rest='' skip='' last='' kind='' cur=\${COMP_WORDS[COMP_CWORD]} i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    # "--name=value" comes as three words.
    [[ $word == = ]] && continue
    if [[ -n $skip ]]; then
      skip=''
      continue
    fi
    case $word in
      --) rest=1; break ;;
      -*)
        last=$word
        [[ -n $(_kata_runtime_value "$path" "$word") ]] && skip=1
        ;;
      *)
        [[ -z $path ]] && word=$(_kata_runtime_alias "$word")
        if [[ " $(_kata_runtime_commands "$path") " == *" $word "* ]]; then
          path="\${path:+$path }$word"
        else
          operand=$((operand + 1))
        fi
        ;;
    esac
  done
  COMPREPLY=()
  [[ -n $rest ]] && return
  [[ $cur == = ]] && cur=''
  if [[ -n $skip ]]; then
    kind=$(_kata_runtime_value "$path" "$last")
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$(_kata_runtime_options "$path")" -- "$cur"))
    return
  elif [[ -n $(_kata_runtime_commands "$path") ]]; then
    kind="=$(_kata_runtime_commands "$path")"
  else
    kind=$(_kata_runtime_value "$path" "$operand")
  fi
  case $kind in
    =*) COMPREPLY=($(compgen -W "\${kind#=}" -- "$cur")) ;;
    sandbox)
      # compgen would expand what is in an id.
      while read -r word; do
        [[ $word =~ ^[A-Za-z0-9_.-]+$ && $word == "$cur"* ]] && COMPREPLY+=("$word")
      done < <("\${COMP_WORDS[0]}" list -q 2>/dev/null)
      ;;
    file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    directory)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      ;;
  esac
}
complete -F _kata_runtime kata-runtime kata-ctl
`;
}

/** Of the cases' texts nothing has to be quoted: names of commands, options and choices have neither blanks nor quotes. */
function cases(places: readonly Place[], words: (place: Place) => readonly string[]): string {
  return places
    .map((place) => [place.key, words(place).join(' ')] as const)
    .filter(([, text]) => text !== '')
    .map(([key, text]) => `    '${key}') echo '${text}' ;;`)
    .join('\n');
}
