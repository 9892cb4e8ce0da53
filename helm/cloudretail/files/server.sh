# A primary, or a replica of $PRIMARY. A first start that is interrupted begins anew.
set -eu
PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
data=/var/lib/postgresql/data/pgdata
if [ ! -s "$data/PG_VERSION" ]; then
    rm -rf "$data" "$data.new"
    if [ -z "${PRIMARY:-}" ]; then
        echo "$PGPASSWORD" > /tmp/password
        initdb --username=postgres --pwfile=/tmp/password --auth=scram-sha-256 \
            --encoding=UTF8 --locale=C.UTF-8 -D "$data.new"
        rm /tmp/password
    else
        # The password goes into the replica's own configuration.
        until pg_basebackup -h "$PRIMARY" -U postgres -X stream -R -c fast -D "$data.new"; do
            rm -rf "$data.new"
            sleep 1
        done
    fi
    mv "$data.new" "$data"
fi
# The kubelet gives the volume to a group; the server refuses what a group may write.
chmod 700 "$data"
unset PGPASSWORD
exec postgres -D "$data" -c config_file=/scripts/postgresql.conf
