#!/bin/sh
# A script, such as a nightly job under cron, sends the result of a backup to the people on duty. If this fails, the exit
# status determines what the script does: 67 means that a person has no account, and the script sends a mail instead; 75
# means that a service cannot be reached at the moment, and the script tries again later.
set -eu
work=$(mktemp -d)
finish() {
  status=$?
  rm -rf "$work"
  [ "$status" -eq 0 ] || echo "${0##*/}: this is not the outcome it should have" >&2
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
HOME=$work
export HOME
unset IMSG_HOME IMSG_SERVER IMSG_DIRECTORY IMSG_RELAY IMSG_STORE IMSG_PASSPHRASE_FILE XDG_CONFIG_HOME XDG_DATA_HOME
cd "$work"

server() { IMSG_HOME=$work/server "$@"; }
duty() { IMSG_HOME=$work/duty "$@"; }

# A replacement for mail(1), which writes its input to a file.
mail_to() { cat >"$work/mail-to-$1"; }

# notify HANDLE: sends standard input. The envelopes go through a file and not a pipe, so that no exit status is lost.
notify() {
  cat >report
  status=0
  server imsg-seal -q -r "$1" -o report.jsonl report || status=$?
  if [ "$status" -eq 0 ]; then
    server imsg-push report.jsonl || status=$?
  fi
  case $status in
    0) echo "told $1 by message" ;;
    67)
      mail_to "$1" <report
      echo "$1 has no account: told by mail" ;;
    75) echo "cannot tell $1 now: left for the next run" ;;
    *) return "$status" ;;
  esac
}

# The keys of the machine that runs the script are made once, by hand. The commands below ask no questions.
server imsg-keygen -n backup-server backup@example.com | server imsg-register -q

echo "== first night: nobody is registered as ops@example.com"
echo "backup done: 214 files, 3 s" | notify ops@example.com
grep -q "backup done" mail-to-ops@example.com

echo "== then the people on duty register"
duty imsg-keygen -n pager ops@example.com | duty imsg-register -q

echo "== second night"
echo "backup failed: disk full" | notify ops@example.com
[ "$(cat mail-to-ops@example.com)" = "backup done: 214 files, 3 s" ] # no second mail

echo "== third night: the directory is a folder that is not mounted"
echo "backup done: 217 files, 3 s" |
  (IMSG_DIRECTORY=$work/not-mounted && export IMSG_DIRECTORY && notify ops@example.com) | tee said
grep -q "left for the next run" said

echo "== on the pager"
duty imsg-pull >received
duty imsg-open --from backup@example.com received | tee text
[ "$(cat text)" = "backup failed: disk full" ]
