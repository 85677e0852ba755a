"""`tools/public_interfaces.py` finds private names and patches of libraries in small sources."""

import pytest

from tools import public_interfaces
from tools.public_interfaces import Allowed, find, without_exceptions

EXTENSIONS = """
from flask_limiter import Limiter
from app.config import Settings
limiter = Limiter(key_func=str)
settings = Settings()
"""


def names(text: str, **others: str) -> list[str]:
    """The names found in app/feature.py, next to app/extensions.py and other modules."""
    sources = {"app/extensions.py": EXTENSIONS, "app/config.py": "class Settings:\n    size = 1\n"}
    sources |= {f"app/{name}.py": other for name, other in others.items()}
    found = find({**sources, "app/feature.py": text})
    return [one.name for one in found if one.path == "app/feature.py"]


PRIVATE = {
    "a name of a library": ("from flask.globals import _cv_app", "_cv_app"),
    "a module of a library": ("from flask_limiter._limits import RuntimeLimit", "RuntimeLimit"),
    "an imported module": ("import psycopg._queries", "_queries"),
    "an attribute of a module": ("import sys\nframe = sys._getframe()", "_getframe"),
    "an attribute of an object": ("def f(field):\n    return field._load(1)", "_load"),
    "an attribute by its name": ("def f(index):\n    getattr(index, '_ddl_if', None)", "_ddl_if"),
    "an attribute set by name": ("def f(index):\n    setattr(index, '_ddl_if', 1)", "_ddl_if"),
    "a method of a class": ("from flask import Flask\nFlask._method_route('x')", "_method_route"),
    "an attribute set": (
        "from app.extensions import limiter\nlimiter._storage_dead = True",
        "_storage_dead",
    ),
    "a name of another module": ("from app.config import _MINIMUMS", "_MINIMUMS"),
    "an attribute of another module": ("from app import config\nconfig._read()", "_read"),
}


@pytest.mark.parametrize(("text", "name"), PRIVATE.values(), ids=PRIVATE)
def test_private_name_of_another_module_or_object_is_found(text: str, name: str) -> None:
    assert names(text) == [name]


INHERITED = {
    "an overridden method": (
        "from flask_jwt_extended import JWTManager\n"
        "class Manager(JWTManager):\n    def _decode_jwt_from_config(self): ...\n",
        ["_decode_jwt_from_config"],
    ),
    "an overridden method of an own base's base": (
        "from app.base import Base\n"
        "class Manager(Base):\n    def _decode_jwt_from_config(self): ...\n",
        ["_decode_jwt_from_config"],
    ),
    "an overriding attribute": (
        "import flask_jwt_extended\n"
        "class Manager(flask_jwt_extended.JWTManager):\n"
        "    _decode_jwt_from_config = lambda self: None\n",
        ["_decode_jwt_from_config"],
    ),
    "a method that is called": (
        "from jwt import PyJWT\nclass Own(PyJWT):\n    def f(self): self._decode_payload()\n",
        ["_decode_payload"],
    ),
    "a method that is called on super()": (
        "from jwt import PyJWT\nclass Own(PyJWT):\n    def f(self): super()._decode_payload()\n",
        ["_decode_payload"],
    ),
    "an attribute that only instances have": (
        "from flask_caching.backends import RedisCache\n"
        "class Own(RedisCache):\n    def f(self): return self._write_client\n",
        ["_write_client"],
    ),
    "an attribute that nothing defines": (
        "class Own:\n    def f(self): return self._missing\n",
        ["_missing"],
    ),
}


@pytest.mark.parametrize(("text", "found"), INHERITED.values(), ids=INHERITED)
def test_private_member_of_a_library_class_is_found(text: str, found: list[str]) -> None:
    base = "from flask_jwt_extended import JWTManager\nclass Base(JWTManager): ...\n"
    assert names(text, base=base) == found


PATCHES = {
    "a function of a module": "from gunicorn import util\ndef f(): ...\nutil.write_error = f",
    "a class of a module": "from gunicorn.http import wsgi\nclass R: ...\nwsgi.Response = R",
    "a value of a module": "from prometheus_client import values\nvalues.ValueClass = 1",
    "a module under another name": "import gunicorn.util as u\nu.write_error = None",
    "a module's alias": "from gunicorn import util\nu = util\nu.write_error = None",
    "a module, inside a function": "def f():\n    from gunicorn import util\n    util.daemon = 1",
    "a class": "from jwt import PyJWT\nPyJWT.decode = None",
    "an addition to a class": "from jwt import PyJWT\nPyJWT.options += 1",
    "a deletion": "from jwt import PyJWT\ndel PyJWT.decode",
    "setattr": "import jwt\nsetattr(jwt, 'decode', None)",
    "setattr with any name": "import jwt\ndef f(name):\n    setattr(jwt, name, None)",
    "delattr": "import jwt\ndelattr(jwt, 'decode')",
    "one of several targets": "import jwt\njwt.decode, x = 1, 2",
    "a method of an object inside an extension": (
        "from app.extensions import limiter\nlimiter.limit_manager.resolve_limits = len"
    ),
    "a method of an extension": "from app.extensions import limiter\nlimiter.limit = None",
    "a method of a parameter": "from jwt import PyJWT\ndef f(x: PyJWT):\n    x.decode = None",
    "a method of an optional parameter": (
        "from jwt import PyJWT\ndef f(x: PyJWT | None):\n    x.decode = None"
    ),
    "a method of a local object": (
        "from jwt import PyJWT\ndef f():\n    x = PyJWT()\n    x.decode = None"
    ),
    "a method of an own class's library base": (
        "from jwt import PyJWT\nclass Own(PyJWT): ...\nx = Own()\nx.decode = None"
    ),
    "a function in place of an attribute of an unknown object": (
        "def init(server):\n    def reload(): ...\n    server.handle_hup = reload"
    ),
    "a lambda": "def init(server):\n    server.handle_hup = lambda: None",
    "a wrapped function": (
        "from functools import partial\ndef f(api):\n    api.write = partial(api.write, 1)"
    ),
}


@pytest.mark.parametrize("text", PATCHES.values(), ids=PATCHES)
def test_assignment_that_patches_a_library_is_found(text: str) -> None:
    assert len(names(text)) == 1


PUBLIC = {
    "names of Python itself": "from __future__ import annotations\nprint(__name__)",
    "dunders": "def f(x): return x.__class__.__name__",
    "own private function": "def _own(): ...\ndef f(): return _own()",
    "own private attribute": (
        "class Own:\n    _size = 1\n    def __init__(self): self._at = self._size\n"
        "    @classmethod\n    def make(cls): return cls._size\n"
        "    def __eq__(self, other: 'Own'): return other._at == self._at\n"
        "    @classmethod\n    def load(cls):\n        own = cls()\n        return own._at\n"
    ),
    "private attribute of an own base": (
        "from app.base import Base\nclass Own(Base):\n    def f(self): return self._at\n"
    ),
    "own private attribute of a subclass": (
        "from flask import Flask\nclass Own(Flask):\n    def f(self): self._own_at = 1\n"
    ),
    "slots": "class Own:\n    __slots__ = ('_at',)\n    def f(self): return self._at\n",
    "documented members": "def f(row): return row._asdict(), row._mapping, row._replace(a=1)",
    "werkzeug's proxies": "from flask import current_app\ncurrent_app._get_current_object()",
    "marshmallow's points of extension": (
        "import marshmallow as ma\nclass Own(ma.fields.String):\n"
        "    def _deserialize(self, *args): return super()._deserialize(*args)\n"
        "    def _serialize(self, *args): return ''\n"
    ),
    "enum's points of extension": (
        "from enum import Enum\nclass Own(Enum):\n    def _missing_(cls, value): ...\n"
    ),
    "WSGI middleware": (
        "from flask import Flask\nfrom werkzeug.middleware.proxy_fix import ProxyFix\n"
        "def f(app: Flask):\n    app.wsgi_app = ProxyFix(app.wsgi_app)"
    ),
    "WSGI middleware of an own subclass": (
        "from flask import Flask\nclass App(Flask): ...\n"
        "app = App('x')\napp.wsgi_app = lambda *args: []"
    ),
    "settings of an object": (
        "from flask import Flask, Response\n"
        "def f(app: Flask):\n    app.json = 1\n    app.config |= {}\n    app.extensions['x'] = f\n"
        "def g(response: Response):\n    response.status_code = 204\n"
    ),
    "flask.g": "from flask import g\ng.caller = None\ng.load = lambda: None",
    "limits of a request": "from flask import request\nrequest.max_content_length = 1",
    "an attribute of self": "class Own:\n    def f(self, g):\n        self.g = lambda: None\n",
    "a function in an own object": (
        "class Operation: ...\ndef f(operation: Operation):\n    operation.respond = lambda: None"
    ),
    "a setting of an extension": "from app.extensions import limiter\nlimiter.enabled = False",
    "an own object of another module": "from app.extensions import settings\nsettings.size = 2",
    "data in an unknown object": "def f(user, role):\n    user.role = role",
    "a local variable with the name of an import": (
        "from gunicorn import util\ndef f(all):\n    for util in all:\n        util.size = 1"
    ),
}


@pytest.mark.parametrize("text", PUBLIC.values(), ids=PUBLIC)
def test_public_and_own_names_are_not_found(text: str) -> None:
    assert names(text, base="class Base:\n    def __init__(self): self._at = 1\n") == []


FOUND = find({"app/x.py": "from flask.globals import _cv_app"})
USED = Allowed("app/x.py", "flask.globals._cv_app", "A reason.", "A public way.")


def test_findings_are_printed_with_file_and_line() -> None:
    assert without_exceptions(FOUND, []) == ["app/x.py:1: imports flask.globals._cv_app"]


def test_exception_allows_one_name_in_one_file() -> None:
    assert without_exceptions(FOUND, [USED]) == []
    assert len(without_exceptions(FOUND, [USED._replace(path="app/y.py")])) == 2
    assert len(without_exceptions(FOUND, [USED._replace(name="flask.globals._cv_request")])) == 2


def test_unused_exception_is_found() -> None:
    assert without_exceptions([], [USED]) == [
        "app/x.py: the exception for flask.globals._cv_app is not used"
    ]


def test_exception_for_a_name_that_the_library_lost_is_found() -> None:
    lost = find({"app/x.py": "from flask.globals import _lost"})
    assert without_exceptions(lost, [USED._replace(name="flask.globals._lost")]) == [
        "app/x.py: the library has no flask.globals._lost any more"
    ]


def test_exception_needs_its_reason_and_what_it_replaces() -> None:
    for lacking in (USED._replace(reason=""), USED._replace(replaced_by="")):
        assert without_exceptions(FOUND, [lacking]) == [
            "app/x.py: the exception for flask.globals._cv_app lacks its reason"
        ]


def test_fourth_exception_is_found() -> None:
    many = [USED._replace(reason=str(number)) for number in range(4)]
    assert without_exceptions(FOUND, many) == ["there are 4 exceptions, at most 3 are allowed"]


def test_exceptions_of_the_repository_are_valid() -> None:
    own = [
        line for line in without_exceptions([], public_interfaces.EXCEPTIONS) if "used" not in line
    ]
    assert own == []
