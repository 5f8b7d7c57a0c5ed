# bash completion for the imsg tools; made by "make completions"
_imsg_attach() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    --store) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -o|--output) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    --max-size) return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' --store -o --output --allow-private --max-size --passphrase-file --passphrase-fd --allow-insecure-key --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) if [[ $COMP_CWORD -eq 1 ]]; then mapfile -t COMPREPLY < <(compgen -W 'put get' -- "$cur"); else mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi ;;
  esac
}
complete -o filenames -F _imsg_attach imsg-attach
_imsg_inspect() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -i|--identity) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -R|--records) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -E|--format) mapfile -t COMPREPLY < <(compgen -W 'pair pair-ec' -- "$cur"); return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -i --identity -R --records -E --format --hex --secrets -j --json --passphrase-file --passphrase-fd --allow-insecure-key -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_inspect imsg-inspect
_imsg_keygen() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -o|--output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -n|--name) return ;;
    --relay) return ;;
    --account) return ;;
    -i|--identity) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -o --output -n --name -p --passphrase --relay --account -i --identity -y --public -F --fingerprint --rotate -j --json --passphrase-file --passphrase-fd --allow-insecure-key -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_keygen imsg-keygen
_imsg_lookup() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -d|--directory) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --accept) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -d --directory --accept --forget --pins --path --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_lookup imsg-lookup
_imsg_open() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -i|--identity) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -d|--directory) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -R|--records) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --from) return ;;
    -o|--output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -E|--format) mapfile -t COMPREPLY < <(compgen -W 'pair pair-ec' -- "$cur"); return ;;
    --jobs) return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -i --identity -d --directory -R --records --from -o --output -E --format --raw --verify-first --once --raw-terminal -j --json --jobs --passphrase-file --passphrase-fd --allow-insecure-key --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_open imsg-open
_imsg_pull() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -i|--identity) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --relay) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -x|--exec) return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -i --identity --relay -w --wait -x --exec --new --passphrase-file --passphrase-fd --allow-insecure-key --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_pull imsg-pull
_imsg_push() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    --relay) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -i|--identity) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --undelivered) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' --relay -i --identity --undelivered -j --json --passphrase-file --passphrase-fd --allow-insecure-key --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_push imsg-push
_imsg_register() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -d|--directory) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --relay) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --account) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --remove) return ;;
    --leave) return ;;
    --expires) return ;;
    --invite) return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -d --directory --relay --account --remove --leave --expires --invite --passphrase-file --passphrase-fd --allow-insecure-key --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_register imsg-register
_imsg_seal() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -i|--identity) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -d|--directory) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -r|--recipient) return ;;
    -R|--records) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -a|--attach) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -o|--output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    -E|--format) mapfile -t COMPREPLY < <(compgen -W 'pair pair-ec' -- "$cur"); return ;;
    -T|--type) return ;;
    -g|--group) return ;;
    --reply) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --receipt) mapfile -t COMPREPLY < <(compgen -W 'delivered read' -- "$cur"); return ;;
    --store) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --jobs) return ;;
    --passphrase-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --passphrase-fd) return ;;
    --cacert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --pin) return ;;
    --retry-for) return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -i --identity -d --directory -r --recipient -R --records -a --attach -o --output -E --format -T --type -g --group --reply --receipt -s --sealed-file --each -S --store-large --store --no-self --raw --jobs --passphrase-file --passphrase-fd --allow-insecure-key --cacert --pin --retry-for --insecure-http -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -o filenames -F _imsg_seal imsg-seal
_imsg_serve() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $prev in
    -l|--listen) return ;;
    -D|--data) return ;;
    --cert) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --key) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --origin) return ;;
    --register) mapfile -t COMPREPLY < <(compgen -W 'open invite closed' -- "$cur"); return ;;
    --mailbox-count) return ;;
    --mailbox-bytes) return ;;
    --connections) return ;;
    --rate) return ;;
    --stranger-rate) return ;;
    --trusted-proxy) return ;;
    --store-bytes) return ;;
    --account-bytes) return ;;
    --store-days) return ;;
    --log) mapfile -t COMPREPLY < <(compgen -W 'none text json' -- "$cur"); return ;;
    --metrics) mapfile -t COMPREPLY < <(compgen -W 'loopback all off' -- "$cur"); return ;;
  esac
  case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ' -l --listen -D --data --cert --key --self-signed --plain-http --origin --register --mailbox-count --mailbox-bytes --connections --rate --stranger-rate --trusted-proxy --store-bytes --account-bytes --store-days --log --log-handles --metrics -q --quiet -v --verbose -h --help -V --version ' -- "$cur") ;;
    *) if [[ $COMP_CWORD -eq 1 ]]; then mapfile -t COMPREPLY < <(compgen -W 'invite' -- "$cur"); else mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi ;;
  esac
}
complete -o filenames -F _imsg_serve imsg-serve
