#!/usr/bin/env bash
# fetch-mnist.sh [--keep] DIR: as scripts/fetch-data.sh mnist.
exec "$(dirname "$0")/fetch-data.sh" mnist "$@"
