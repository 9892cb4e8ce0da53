-- The service may add to the ledger and read it, and no more. Where tests and small installations
-- have no role of its own for the service, there is nobody to take rights from.
do $$
begin
    if exists (select from pg_roles where rolname = 'payment') then
        revoke update, delete, truncate on transfers from payment;
    end if;
end
$$;
