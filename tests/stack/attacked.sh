#!/bin/sh
# The command of the service in attacked.yml.
set -eu

# begin oidc
# The provider of the tests, in this container: at one address for the service and for the tests.
python -c "from pathlib import Path
from tests.certificate import write_certificate
write_certificate(Path('/tmp/provider.pem'))"
python -m tests.oidc.provider "$PROVIDER_PORT" /tmp/provider.pem &
export SSL_CERT_FILE=/tmp/provider.pem
# end oidc

python -c "from app.auth import signing_keys as keys
keys.write_file('/tmp/keys.json', [keys.generate(name) for name in keys.KEY_TYPES])"
flask --app tests.wsgi db upgrade
exec gunicorn tests.wsgi:app
