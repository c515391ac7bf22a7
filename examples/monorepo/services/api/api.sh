#!/bin/sh
case "$1" in
  --version) cat /app/version ;;
  *) echo "$(cat /app/greeting.txt) from $(uname -m)" ;;
esac
