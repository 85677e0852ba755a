#!/bin/sh
# Builds a stack of its own beside any other one, tests it through nginx and removes it again.
set -eu
cd "$(dirname "$0")/../.."

if ! { docker compose version && docker info >/dev/null; }; then
    echo "stack-test: needs a running Docker Engine 25 or newer with Compose" >&2
    exit 1
fi

project=stack-test-$$
scratch=$(mktemp -d)
random() { python3 -c 'import secrets; print(secrets.token_urlsafe(48))'; }
HTTP_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# The example as it is shipped, but for secrets and for the general limit, which the load would hit.
while IFS= read -r line; do
    case $line in
        *=change-me) line=${line%change-me}$(random) ;;
        HTTP_PORT=*) line=HTTP_PORT=$HTTP_PORT ;;
        RATE_LIMIT=*) line='RATE_LIMIT="100000 per minute"' ;;
    esac
    printf '%s\n' "$line"
done <.env.example >"$scratch/env"

# What is exported in the shell would win over the file.
for name in $(sed -n 's/^#*\([A-Z_]*\)=.*/\1/p' .env.example); do unset "$name"; done

compose() {
    docker compose --file docker-compose.yml --project-name "$project" --env-file "$scratch/env" "$@"
}

finish() {
    status=$?
    set +e
    trap - EXIT INT TERM
    if [ "$status" -ne 0 ]; then
        compose ps --all
        compose logs --no-color --timestamps --tail 60
    fi
    compose down --volumes --remove-orphans --rmi local --timeout 40 >"$scratch/down" 2>&1 || {
        cat "$scratch/down"
        status=1
    }
    rm -rf "$scratch"
    [ "$status" -eq 0 ] && echo "stack-test: passed" || echo "stack-test: FAILED"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "stack-test: building and starting $project"
compose up --detach --build --wait --wait-timeout 300 --quiet-pull >"$scratch/up" 2>&1 || {
    cat "$scratch/up"
    exit 1
}
compose ps --all
python3 tests/stack/smoke.py --port "$(sed -n 's/^HTTP_PORT=//p' "$scratch/env")" --project "$project"
