"""SQLAlchemy: engine, execution, column types, mixins, errors. No HTTP, no marshmallow."""
