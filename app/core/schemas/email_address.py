"""E-mail addresses: one canonical spelling, by which accounts are found, counted and mailed."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH = 254  # characters: RFC 5321 section 4.5.3.1.3, less the angle brackets
MAX_LOCAL_LENGTH = 64  # characters before the @: RFC 5321 section 4.5.3.1.1


def canonical_email(text: str) -> str:
    """Return the canonical spelling of an e-mail address; that of the result is the same.

    Unicode is in NFC, letters are lower-case, and the domain is in ASCII (IDNA, RFC 5891).

    Raises:
        ValueError: it is not an address (RFC 5321, RFC 6531), is longer than `MAX_LENGTH`, or has
            a quoted string, an address literal or a domain without a dot.
    """
    # Normalised before it is checked: the lower case of a letter may be longer than the letter.
    # docs/decisions.md#79-canonical-e-mail-addresses
    if len(text) > MAX_LENGTH:
        raise ValueError(f"More than {MAX_LENGTH} characters.")
    lower = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    try:
        # `test_environment` admits the domain "test", which is reserved for that (RFC 2606).
        address = validate_email(lower, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    local, domain = unicodedata.normalize("NFC", address.local_part), address.ascii_domain.lower()
    if len(local) > MAX_LOCAL_LENGTH:
        raise ValueError(f"More than {MAX_LOCAL_LENGTH} characters before the @.")
    canonical = f"{local}@{domain}"
    if len(canonical) > MAX_LENGTH or "." not in domain:
        raise ValueError("The domain is too long, or has no dot.")
    return canonical
