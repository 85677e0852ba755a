#!/bin/sh
# Builds a separate stack, tests it through nginx and removes it: first as shipped, then emptied and
# restored from a backup, then with the security tests of the suite and those of all examples, which
# need other settings (attacked.yml).
set -eu
cd "$(dirname "$0")/../.."

if ! { docker compose version && docker info >/dev/null; }; then
    echo "stack-test: needs a running Docker Engine 25 or newer with Compose" >&2
    exit 1
fi

python=${PYTHON:-python3}
project=stack-test-$$
scratch=$(mktemp -d)
random() { "$python" -c 'import secrets; print(secrets.token_urlsafe(48))'; }
free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
HTTP_PORT=$(free_port)

# The example as shipped, except secrets, the port, and the general limit, which the load would exceed.
while IFS= read -r line; do
    case $line in
        *=change-me) line=${line%change-me}$(random) ;;
        HTTP_PORT=*) line=HTTP_PORT=$HTTP_PORT ;;
        RATE_LIMIT=*) line='RATE_LIMIT="100000 per minute"' ;;
    esac
    printf '%s\n' "$line"
done <.env.example >"$scratch/env"
# begin oidc
echo "PROVIDER_PORT=$(free_port)" >>"$scratch/env"
# end oidc

# Exported variables would override the file.
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

up() {
    compose "$@" --detach --wait --wait-timeout 300 --quiet-pull >"$scratch/up" 2>&1 || {
        cat "$scratch/up"
        exit 1
    }
}

setting() { sed -n "s/^$1=//p" "$scratch/env"; }

echo "stack-test: building and starting $project"
up up --build
compose ps --all
"$python" tests/stack/smoke.py --port "$(setting HTTP_PORT)" --project "$project"

echo "stack-test: backing up $project, emptying and restoring it"
COMPOSE_PROJECT_NAME=$project COMPOSE_ENV_FILES=$scratch/env \
    "$python" tests/stack/restore.py --port "$(setting HTTP_PORT)"

echo "stack-test: attacking $project"
up --file tests/stack/attacked.yml up
(umask 077 && compose exec -T web cat /tmp/keys.json >"$scratch/keys.json")
database=$(compose port postgres 5432)
STACK_URL=http://127.0.0.1:$(setting HTTP_PORT)
STACK_DATABASE_URL=postgresql://app:$(setting POSTGRES_PASSWORD)@$database/app
STACK_SECRET_KEY=$(setting SECRET_KEY)
STACK_JWT_KEYS=$scratch/keys.json
WITH_ALL_EXAMPLES=1  # as in attacked.yml
export STACK_URL STACK_DATABASE_URL STACK_SECRET_KEY STACK_JWT_KEYS WITH_ALL_EXAMPLES
set -- tests/contract tests/notes tests/places tests/remarks \
    tests/auth/test_accounts.py tests/auth/test_api_keys.py \
    tests/auth/test_cookies.py tests/auth/test_login.py tests/auth/test_refresh_tokens.py \
    tests/auth/test_sessions.py tests/auth/test_tokens.py tests/users/test_administration.py \
    tests/users/test_passwords.py tests/users/test_service.py tests/users/test_users.py
# begin products tasks
set -- "$@" tests/shop
# end products tasks
# begin mfa
set -- "$@" tests/mfa/test_passkeys.py tests/mfa/test_passwordless_accounts.py \
    tests/mfa/test_recovery.py tests/mfa/test_totp.py
# end mfa
# begin oidc
(umask 077 && compose exec -T web cat /tmp/provider.pem >"$scratch/provider.pem")
STACK_PROVIDER_URL=https://127.0.0.1:$(setting PROVIDER_PORT)
STACK_PROVIDER_CERTIFICATE=$scratch/provider.pem
export STACK_PROVIDER_URL STACK_PROVIDER_CERTIFICATE
set -- "$@" tests/oidc/test_attacks.py tests/oidc/test_identities.py tests/oidc/test_login.py \
    tests/oidc/test_logout.py tests/oidc/test_native_links.py tests/oidc/test_redirects.py
# end oidc
# One after the other, because they share one database. pytest-flask would patch every test; without
# it, its setting in pyproject.toml is unknown, which `--strict-config` refuses.
"$python" dev.py test -q -n 0 -p no:flask -o addopts=--import-mode=importlib \
    -W ignore::pytest.PytestConfigWarning "$@"
