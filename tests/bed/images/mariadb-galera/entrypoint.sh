#!/bin/bash
# Entry point of an image that is laid out like Bitnami's mariadb-galera. What a member needs to know is prepared by run.sh.
set -eu
exec "$@"
