#!/usr/bin/env bats
# The whole way of a message, on the embedded defaults.
load common
setup() { setup_common; }
teardown() { teardown_common; }

@test "hello from alice to bob, once" {
  new_user alice
  new_user bob
  echo hello | as alice imsg-seal -r bob@example.com | as alice imsg-push
  as bob imsg-pull | as bob imsg-open >got
  [ "$(cat got)" = hello ]
  as bob imsg-pull >again
  [ ! -s again ]
}

@test "each of bob's devices and alice's other device gets its own copy once" {
  new_user alice
  new_device alice2 alice alice@example.com
  new_user bob
  new_device bob2 bob bob@example.com
  echo hello | as alice imsg-seal -q -r bob@example.com >lines
  [ "$(wc -l <lines)" -eq 3 ]
  [ "$(jq -r .to_token lines | sort -u | wc -l)" -eq 3 ]
  as alice imsg-push lines
  for device in bob bob2 alice2; do
    as $device imsg-pull | as $device imsg-open -q >got
    [ "$(cat got)" = hello ]
  done
  as alice imsg-pull >own
  [ ! -s own ]
}
