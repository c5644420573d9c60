#!/bin/sh
# A test runs docs/nginx.conf. Where there is no nginx, unpack Debian's into the folder named, if it can be had; it is not
# installed, as that would start it. Without any the test is skipped, and says so.
set -u
target=$1
if command -v nginx >/dev/null 2>&1 || [ -x "$target/usr/sbin/nginx" ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then exit 0; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" && apt-get download -qq nginx >/dev/null 2>&1
case "$target" in /*) ;; *) target="$OLDPWD/$target" ;; esac
for package in "$folder"/nginx_*.deb; do
    if [ -f "$package" ]; then mkdir -p "$target" && dpkg-deb -x "$package" "$target"; fi
done
exit 0
