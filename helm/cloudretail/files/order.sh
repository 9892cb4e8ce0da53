# `register`: makes an account that is to become staff. `order`: sells a new product to a new customer.
set -eu

random() { tr -dc a-f0-9 </dev/urandom | head -c 24; }

# <method> <path> [body] [more options of curl...]; the answer goes to /tmp/answer.
call() {
    method=$1 path=$2 body=${3:-}
    shift 2
    if [ $# -gt 0 ]; then shift; fi
    status=$(curl -sS -m 30 -o /tmp/answer -w '%{http_code}' -X "$method" "$GATEWAY$path" \
        -H 'content-type: application/json' -H "authorization: ${token:+Bearer $token}" \
        ${body:+-d "$body"} "$@")
    case $status in
    2??) ;;
    *)
        echo "$method $path answered $status: $(cat /tmp/answer)" >&2
        exit 1
        ;;
    esac
}

# The first value of a name in the answer.
value() { tr ',{' '\n\n' </tmp/answer | sed -n "s/^ *\"$1\" *: *\"\{0,1\}\([^\"}]*\).*/\1/p" | head -n 1; }

log_in() {
    token=""
    call POST /api/auth/login "{\"email\": \"$1\", \"password\": \"$2\"}"
    token=$(value accessToken)
}

register() {
    token=""
    call POST /api/users "{\"email\": \"$1\", \"password\": \"$2\", \"name\": \"Helm Test\"}"
}

if [ "$1" = register ]; then
    random >/tmp/password
    echo "test-$(random)@example.com" >/tmp/email
    register "$(cat /tmp/email)" "$(cat /tmp/password)"
    exit 0
fi

id=$(random)
log_in "${STAFF_EMAIL:-$(cat /tmp/email 2>/dev/null)}" "${STAFF_PASSWORD:-$(cat /tmp/password 2>/dev/null)}"
call POST /api/categories "{\"slug\": \"test-$id\", \"name\": \"Test\"}"
call POST /api/products "{
    \"slug\": \"test-$id\", \"name\": \"Test $id\", \"description\": \"Not for sale.\", \"category\": \"test-$id\",
    \"attributes\": {},
    \"variants\": [{\"sku\": \"TEST-$id\", \"options\": {}, \"price\": {\"minorUnits\": 100, \"currency\": \"USD\"}}]
}"
call PUT "/api/inventory/TEST-$id/warehouses/test" \
    '{"onHand": 1, "lowStockThreshold": 0, "policy": "reserve-on-order"}'

register "customer-$id@example.com" "$id"
log_in "customer-$id@example.com" "$id"
call POST /api/cart/items "{\"sku\": \"TEST-$id\", \"quantity\": 1}"
call POST /api/orders "{
    \"shippingAddress\": {
        \"name\": \"Helm Test\", \"line1\": \"1 Example Street\", \"city\": \"Springfield\",
        \"postalCode\": \"12345\", \"country\": \"US\"
    },
    \"paymentMethod\": {\"token\": \"$PAYMENT_TOKEN\"}
}" -H "idempotency-key: $id"
order=$(value id)
for _ in $(seq 60); do
    call GET "/api/orders/$order"
    status=$(value status)
    case $status in
    confirmed) echo "order $order is confirmed" && exit 0 ;;
    rejected | cancelled) break ;;
    esac
    sleep 1
done
echo "order $order is $status" >&2
exit 1
