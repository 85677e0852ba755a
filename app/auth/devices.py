"""Devices from which accounts have logged in: browser and network, as a keyed hash."""

import re
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

from flask import request
from sqlalchemy import ForeignKey, LargeBinary, bindparam, case, func, select
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same words for ON CONFLICT
from sqlalchemy.orm import Mapped, mapped_column

from app.core.background.periodic import HOUR, periodic_task
from app.core.database import execute
from app.core.database.types import Timestamp, now
from app.core.resources import unaudited
from app.core.security.signing import sign
from app.core.web.client_address import client_address
from app.extensions import Base, db

KNOWN_FOR = timedelta(days=365)  # since the first login


class KnownDevice(Base):
    """A device from which an account has logged in."""

    __tablename__ = "known_devices"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


_is_this = KnownDevice.fingerprint == bindparam("fingerprint")
_SELECT_DEVICES = select(
    func.count().label("devices"), func.count(case((_is_this, 1))).label("is_known")
).where(KnownDevice.user_id == bindparam("user_id"))


def is_new_device(user_id: UUID) -> bool:
    """Whether an account that has logged in before does so from a new device; it is known then."""
    fingerprint = _fingerprint()
    values = {"user_id": user_id, "fingerprint": fingerprint}
    [row] = execute.fetch(_SELECT_DEVICES, values)
    if row.is_known:
        return False
    added = insert(KnownDevice).values(values | {"created_at": now()}).on_conflict_do_nothing()
    is_added = db.session.scalar(added.returning(KnownDevice.user_id)) is not None
    return is_added and row.devices > 0


def _fingerprint() -> bytes:
    """A hash of the user agent without its versions, and of the /24 or /48 of the address."""
    network = client_address(request)
    try:
        address = ip_address(network)
        network = str(ip_network((address, 24 if address.version == 4 else 48), strict=False))
    except ValueError:  # no address: see `client_address`
        pass
    agent = re.sub(r"[\d._]+", "", request.user_agent.string)[:500]
    return sign("known devices", f"{network} {agent}".encode(errors="replace"))


@periodic_task("known-devices", interval=HOUR)
def purge_known_devices() -> int:
    """Delete devices that are known for too long; return their number."""
    return unaudited.delete_in_batches(KnownDevice, KnownDevice.created_at <= now() - KNOWN_FOR)
