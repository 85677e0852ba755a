"""An application that sends mail, and requests to its routes."""

from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from tests.api import PASSWORD, Api, Caller

NEW_PASSWORD = "a wholly unguessed phrase"


ADA = {"email": "ada@example.com", "name": "Ada Lovelace", "password": PASSWORD}


class Mailing(Api):
    """Requests to an application that sends mail."""

    def register(self) -> Caller:
        """Register Ada and sign her in."""
        account = self.post("users", ADA, status=201).json
        return self.sign_in(Caller(UUID(account["id"]), ADA["email"], "user", {}))

    def forgot(self, email: str, **kwargs: Any) -> TestResponse:
        return self.post("auth/password/forgot", {"email": email}, **kwargs)

    def reset(self, token: str, password: str = NEW_PASSWORD, **kwargs: Any) -> TestResponse:
        body = {"token": token, "new_password": password}
        return self.post("auth/password/reset", body, **kwargs)

    def verify(self, token: str, **kwargs: Any) -> TestResponse:
        return self.post("auth/email/verify", {"token": token}, **kwargs)
