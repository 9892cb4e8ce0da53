# One service's roles and database on every shard, as far as an operator has not made them. May run again at any time.
set -eu
export PGCONNECT_TIMEOUT=3 PGOPTIONS='-c synchronous_commit=local'

sql() { # <user> <database>; the script comes on standard input
    psql -X -q -v ON_ERROR_STOP=1 -h "$host" -U "$1" -d "$2" \
        -v service="$SERVICE" -v local="$COMMITS_LOCALLY" \
        -v password="$DB_PASSWORD" -v owner_password="$DB_OWNER_PASSWORD"
}

for host in $HOSTS; do
    if [ -n "${DB_SUPERUSER_PASSWORD:-}" ]; then
        export PGPASSWORD="$DB_SUPERUSER_PASSWORD"
        until psql -X -q -h "$host" -U postgres -c 'select 1' >/dev/null 2>&1; do sleep 1; done
        sql postgres postgres <<'SQL'
select format('create role %I login', role)
from unnest(array[:'service', :'service' || '_owner']) as role
where not exists (select from pg_roles where rolname = role)
\gexec
select format('alter role %I password %L', :'service', :'password') \gexec
select format('alter role %I password %L', :'service' || '_owner', :'owner_password') \gexec
-- A replica tells its timeline only to this role.
grant pg_read_all_stats to :"service";
select format('create database %I owner %I', :'service', :'service' || '_owner')
where not exists (select from pg_database where datname = :'service')
\gexec
\connect :"service"
select format('alter schema public owner to %I', :'service' || '_owner') \gexec
SQL
    fi
    export PGPASSWORD="$DB_OWNER_PASSWORD"
    until psql -X -q -h "$host" -U "${SERVICE}_owner" -d "$SERVICE" -c 'select 1' >/dev/null 2>&1; do sleep 1; done
    sql "${SERVICE}_owner" "$SERVICE" <<'SQL'
select format('alter database %I set synchronous_commit = local', :'service') where :'local'::boolean \gexec
SQL
    # PgBouncer does not pass on what a service asks for when it connects.
    export PGPASSWORD="$DB_PASSWORD"
    sql "$SERVICE" "$SERVICE" <<'SQL'
alter role current_user set statement_timeout = '5s';
alter role current_user set idle_in_transaction_session_timeout = '15s';
SQL
done
