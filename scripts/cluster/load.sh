#!/bin/sh
# Runs in a pod of scripts/cluster-test: customers who order and look around, and one line for every request.
#
#   load.sh steady          until the file /tmp/stop is there
#   load.sh heavy SECONDS   reads of one product, as fast as 8 clients may
#
#   request METHOD PATH STATUS   one request; 000 is no answer
#   requests COUNT FAILED        many of them
#   order KEY ID                 an answered order
#   unanswered KEY               an order that got no answer, however often it was asked for
set -eu
. /scripts/shop.sh
# Attempts to place one order, one each second.
TRIES_MAX=120

ask() { # as call, and tells of it
    answered=0
    "$@" 2>>/tmp/errors || answered=1
    echo "request $method $path $status"
    return $answered
}

order() { # <key>; whoever gets no answer asks again with the same key
    tries=0
    until ask place "$1"; do
        tries=$((tries + 1))
        if [ $tries -ge $TRIES_MAX ]; then
            echo "unanswered $1"
            return
        fi
        sleep 1
    done
    order=$(value id)
    echo "order $1 $order"
    ask call GET "/api/orders/$order" || true
}

shop() { # <number>
    answer=/tmp/answer-$1 email="load-$1-$RUN@example.com"
    ask register "$email" "$RUN"
    number=0
    while [ ! -e /tmp/stop ]; do
        # Well before the session ends.
        if [ $((number % 200)) = 0 ]; then
            until ask log_in "$email" "$RUN"; do sleep 1; done
        fi
        number=$((number + 1))
        until ask add_to_cart "$SKU"; do
            # It may have come through.
            until ask call DELETE /api/cart; do sleep 1; done
        done
        order "$RUN-$1-$number"
        sleep 0.5
    done
}

browse() { # <number>; each request on a connection of its own
    answer=/tmp/answer-$1
    while [ ! -e /tmp/stop ]; do
        for page in "/api/products/$product" "/api/products/search?q=test" "/api/inventory/$SKU" /api/categories; do
            ask call GET "$page" || true
            sleep 0.1
        done
    done
}

# One connection for all of them, as long as it lives. What is behind # is not sent.
stay() { # <requests per second> <requests>
    curl -s -m 30 -o /dev/null -w "%{stderr}%{http_code}\n" --rate "$1/s" \
        "$GATEWAY/api/products/$product#[1-$2]" 2>&1 || true
}

case "$1" in
steady)
    log_in "$STAFF_EMAIL" "$STAFF_PASSWORD"
    sell "load-$RUN" "$SKU" "$PIECES"
    echo "$product" >/tmp/product
    for number in 1 2; do shop $number & done
    browse 3 &
    while [ ! -e /tmp/stop ]; do stay 10 50; done | while read -r status; do
        # In one piece, as the others write too.
        echo "request GET /api/products/$product $status"
    done &
    wait
    ;;
heavy)
    product=$(cat /tmp/product)
    end=$(($(date +%s) + $2))
    for _ in 1 2 3 4 5 6 7 8; do
        while [ "$(date +%s)" -lt $end ]; do stay 200 1000; done | sort | uniq -c | while read -r count status; do
            case $status in
            2*) echo "requests $count 0" ;;
            *) echo "requests $count $count" ;;
            esac
        done &
    done
    wait
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
