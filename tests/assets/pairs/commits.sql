insert into orders (sku, quantity, minor_units) values ('THING', 1, 1000) returning order_id \gset
insert into reservations (order_id, quantity) values (:order_id, 1);
update orders set status = 'reserved' where order_id = :order_id;
insert into payments (order_id, minor_units) values (:order_id, 1000);
update payments set status = 'authorized' where order_id = :order_id;
update orders set status = 'confirmed' where order_id = :order_id;
update reservations set status = 'claimed' where order_id = :order_id;
update payments set status = 'capturing' where order_id = :order_id;
update payments set status = 'captured' where order_id = :order_id;
update orders set status = 'settled' where order_id = :order_id;
