#!/bin/sh
# Debian's Chromium for the browser tests: installed where we may, else said to be missing.
command -v chromium >/dev/null && exit 0
[ "$(id -u)" -eq 0 ] && may="" || may="sudo -n"
export DEBIAN_FRONTEND=noninteractive
$may apt-get update -qq && $may apt-get install -y -qq --no-install-recommends chromium
command -v chromium >/dev/null && exit 0
echo "The browser tests need Chromium: install Debian's package chromium (apt-get install chromium)." >&2
exit 1
