# Makes the test's account staff; it lives on one of the shards.
set -eu
email=$(cat /tmp/email)
for host in $HOSTS; do
    psql -X -q -v ON_ERROR_STOP=1 -h "$host" -U user -d user -v email="$email" <<'SQL'
update users set role = 'staff', version = version + 1 where email = :'email';
SQL
done
