set -eu
nodes=""
for i in 0 1 2 3 4 5; do
    host="$NAME-$i.$NAME"
    until [ "$(redis-cli -h "$host" ping 2>/dev/null)" = PONG ]; do sleep 1; done
    # A cluster meets by addresses only.
    nodes="$nodes $(getent hosts "$host" | cut -d ' ' -f 1):6379"
done
state() { redis-cli -h "$NAME-0.$NAME" cluster info | tr -d '\r'; }
if state | grep -qx cluster_known_nodes:1; then
    # shellcheck disable=SC2086 # words on purpose
    redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
fi
until state | grep -qx cluster_state:ok; do sleep 1; done
