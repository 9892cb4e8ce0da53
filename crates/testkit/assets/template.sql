-- An empty database to migrate, from the service's own: that has its roles' default privileges.
set synchronous_commit = local;

-- What older builds of the same program left, and interrupted tests.
select command
from pg_database
cross join lateral (values
    (format('alter database %I with is_template false', datname)),
    (format('drop database if exists %I with (force)', datname))
) as commands (command)
where starts_with(datname, :'program')
\gexec

select format(
    'create database %I template %I owner %I',
    :'template',
    :'service',
    :'service' || '_owner'
)
\gexec
