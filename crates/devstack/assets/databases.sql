-- One service's roles and database. May run again at any time.
set synchronous_commit = local;

select format('create role %I login', role)
from unnest(array[:'service', :'service' || '_owner']) as role
where not exists (select from pg_roles where rolname = role)
\gexec

-- A replica tells its timeline only to this role.
grant pg_read_all_stats to :"service";

select format('create database %I owner %I', :'service', :'service' || '_owner')
where not exists (select from pg_database where datname = :'service')
\gexec

select format('alter database %I set synchronous_commit = local', :'service')
where :'commits_locally'::boolean
\gexec

\connect :"service"
set synchronous_commit = local;

select format('alter schema public owner to %I', :'service' || '_owner')
\gexec

select format(
    'alter default privileges for role %I in schema public grant %s to %I',
    :'service' || '_owner',
    privilege,
    :'service'
)
from unnest(array[
    'select, insert, update, delete on tables',
    'usage, select on sequences'
]) as privilege
\gexec

grant usage on schema public to :"service";
