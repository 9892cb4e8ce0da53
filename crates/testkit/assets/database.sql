-- A test binary's own copy; prints the position that a replica must reach to know it.
set synchronous_commit = local;

select format(
    'create database %I template %I owner %I',
    :'database',
    :'template',
    :'service' || '_owner'
)
\gexec

-- A template hands on everything but its settings.
select format('alter database %I set %s', :'database', setting)
from pg_db_role_setting
join pg_database on pg_database.oid = setdatabase
cross join unnest(setconfig) as setting
where datname = :'service' and setrole = 0
\gexec

select pg_current_wal_lsn();
