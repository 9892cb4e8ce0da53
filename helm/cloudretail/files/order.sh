# `register`: makes an account that is to become staff. `order`: sells a new product to a new customer.
set -eu
. /scripts/shop.sh

if [ "$1" = register ]; then
    random >/tmp/password
    echo "test-$(random)@example.com" >/tmp/email
    register "$(cat /tmp/email)" "$(cat /tmp/password)"
    exit 0
fi

id=$(random)
log_in "${STAFF_EMAIL:-$(cat /tmp/email 2>/dev/null)}" "${STAFF_PASSWORD:-$(cat /tmp/password 2>/dev/null)}"
sell "test-$id" "TEST-$id" 1

register "customer-$id@example.com" "$id"
log_in "customer-$id@example.com" "$id"
add_to_cart "TEST-$id"
place "$id"
order=$(value id)
for _ in $(seq 60); do
    call GET "/api/orders/$order"
    order_status=$(value status)
    case $order_status in
    confirmed) echo "order $order is confirmed" && exit 0 ;;
    rejected | cancelled) break ;;
    esac
    sleep 1
done
echo "order $order is $order_status" >&2
exit 1
