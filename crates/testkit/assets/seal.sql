-- The template is complete, and nobody may connect to it again.
set synchronous_commit = local;
alter database :"template" with is_template true allow_connections false;

select pg_terminate_backend(pid, 2000)
from pg_stat_activity
where datname = :'template';
