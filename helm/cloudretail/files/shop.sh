# A client of the public REST API at $GATEWAY, to be read by other scripts: `. /scripts/shop.sh`.
# The answer to the last call is in the file $answer, how it ended in $status; $token is whose session it is.
answer=${answer:-/tmp/answer} status="" token=""

random() { tr -dc a-f0-9 </dev/urandom | head -c 24; }

# <method> <path> [body] [more options of curl...]; fails unless the status is 2xx. No answer is 000.
call() {
    method=$1 path=$2 body=${3:-}
    shift 2
    if [ $# -gt 0 ]; then shift; fi
    : >"$answer"
    status=$(curl -sS -m 30 -o "$answer" -w '%{http_code}' -X "$method" "$GATEWAY$path" \
        -H 'content-type: application/json' -H "authorization: ${token:+Bearer $token}" \
        ${body:+-d "$body"} "$@") || true
    case $status in
    2??) ;;
    *)
        echo "$method $path answered $status: $(cat "$answer")" >&2
        return 1
        ;;
    esac
}

# The first value of a name in the answer.
value() { tr ',{' '\n\n' <"$answer" | sed -n "s/^ *\"$1\" *: *\"\{0,1\}\([^\"}]*\).*/\1/p" | head -n 1; }

register() { # <email> <password>
    token=""
    call POST /api/users "{\"email\": \"$1\", \"password\": \"$2\", \"name\": \"A Customer\"}"
}

log_in() { # <email> <password>
    token=""
    call POST /api/auth/login "{\"email\": \"$1\", \"password\": \"$2\"}" || return 1
    token=$(value accessToken)
}

# A new product that staff puts on sale.
sell() { # <name in lower case> <SKU> <pieces>
    call POST /api/categories "{\"slug\": \"$1\", \"name\": \"Test\"}"
    call POST /api/products "{
        \"slug\": \"$1\", \"name\": \"$1\", \"description\": \"Not for sale.\", \"category\": \"$1\",
        \"attributes\": {},
        \"variants\": [{\"sku\": \"$2\", \"options\": {}, \"price\": {\"minorUnits\": 100, \"currency\": \"USD\"}}]
    }"
    product=$(value id)
    call PUT "/api/inventory/$2/warehouses/test" \
        "{\"onHand\": $3, \"lowStockThreshold\": 0, \"policy\": \"reserve-on-order\"}"
}

add_to_cart() { # <SKU>
    call POST /api/cart/items "{\"sku\": \"$1\", \"quantity\": 1}"
}

place() { # <idempotency key>
    call POST /api/orders "{
        \"shippingAddress\": {
            \"name\": \"A Customer\", \"line1\": \"1 Example Street\", \"city\": \"Springfield\",
            \"postalCode\": \"12345\", \"country\": \"US\"
        },
        \"paymentMethod\": {\"token\": \"${PAYMENT_TOKEN:-tok_ok}\"}
    }" -H "idempotency-key: $1"
}
