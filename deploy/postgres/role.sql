-- The role of the service: it owns its database and may do nothing else. PostgreSQL's image runs
-- this as the superuser `postgres` when the volume is empty; docs/operations.md, section "From
-- 1.0.0", is for older volumes.
\set ON_ERROR_STOP on
\getenv password POSTGRES_PASSWORD
-- An error must not write the password to the log.
SET log_min_error_statement = panic;
BEGIN;
CREATE ROLE app NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN PASSWORD :'password';
ALTER DATABASE app OWNER TO app;
-- The image gives the superuser the same password. Without one it can log in inside the container
-- only.
ALTER ROLE postgres PASSWORD NULL;
COMMIT;
