"""What a migration does to the rows that it finds."""

from flask_migrate import downgrade, upgrade

from app.core.database.types import now
from app.mfa.models import Factor
from app.users.models import User
from tests import rows
from tests.conftest import MakeApp, migrate_to_head
from tests.mfa.authenticator import Members


def test_migration_finds_factors_of_accounts_whose_address_is_not_verified(
    make_app: MakeApp, another_database_url: str
) -> None:
    app = make_app(database_url=another_database_url)
    migrate_to_head(app)
    members = Members(app)
    owners = [members.enrol(members.sign_up()).owner for _ in range(2)]
    rows.change(app, User, owners[0].id, email_verified_at=now())
    with app.app_context():
        downgrade(revision="mfa_0002")
        upgrade()
    found = [rows.read(app, Factor.is_provisional, owner_id=owner.id) for owner in owners]
    assert found == [[False], [True]]
