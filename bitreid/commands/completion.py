"""`bitreid completion`: what makes a shell complete the commands of bitreid, and their options."""

import argparse
import re
from collections.abc import Iterator
from typing import NamedTuple

HELP = "print a script with which a shell completes commands and options"
EXAMPLES = (
    "bitreid completion bash > ~/.local/share/bash-completion/completions/bitreid",
    "bitreid completion zsh > ~/.bitreid.zsh  # and in ~/.zshrc, after compinit: source ~/.bitreid.zsh",
)

_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"
# An option with choices chooses the words; else the command before the cursor does, such as ` gallery add`. Where there
# are none, the shell completes names of files.
_SCRIPT = """\
_bitreid() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= options= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command ${COMP_WORDS[i]}" in
      @commands) command="$command ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$command" in
@words
  esac
  case "$command $before" in
@choices
  esac
  if [[ $word == -* ]]; then words=$options; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _bitreid bitreid
"""


class _Known(NamedTuple):
    """What can follow a command: words (commands below it, choices of arguments), options, and choices of options."""

    command: str
    words: list[str]
    options: list[str]
    choices: dict[str, list[str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid completion`."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell that reads the script")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from bitreid.commands.main import COMMANDS, parser_of

    print(script_of(parser_of(list(COMMANDS)), arguments.shell), end="")
    return 0


def script_of(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for `bash`, or for `zsh`, which runs that by its own bashcompinit."""
    known = list(_known_of(parser))
    words = [
        f'    "{each.command}") words="{" ".join(each.words)}" options="{" ".join(each.options)}" ;;' for each in known
    ]
    choices = [
        f'    "{each.command} {option}") words="{" ".join(values)}" ;;'
        for each in known
        for option, values in each.choices.items()
    ]
    commands = "|".join(f'"{each.command}"' for each in known if each.command)
    parts = {"@commands": commands, "@words": "\n".join(words), "@choices": "\n".join(choices)}
    script = re.sub("@[a-z]+", lambda match: parts[match[0]], _SCRIPT)
    return _ZSH + script if shell == "zsh" else script


def _known_of(parser: argparse.ArgumentParser, command: str = "") -> Iterator[_Known]:
    """Yield what can follow a command, and each command below it."""
    known = _Known(command, [], [], {})
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        values = [str(choice) for choice in action.choices or ()]
        if isinstance(action, argparse._SubParsersAction):
            below |= action.choices
        known.options.extend(action.option_strings)
        if not action.option_strings:
            known.words.extend(values)
        elif values:
            known.choices.update(dict.fromkeys(action.option_strings, values))
    yield known
    for name, each in below.items():
        yield from _known_of(each, f"{command} {name}")
