create table categories (
    slot smallint not null,
    category_id uuid not null,
    slug text not null,
    name text not null,
    parent_id uuid,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    constraint categories_pkey primary key (slot, category_id)
);

create table products (
    slot smallint not null,
    product_id uuid not null,
    slug text not null,
    name text not null,
    description text not null,
    category_id uuid not null,
    -- The category's slug.
    category text not null,
    attributes jsonb not null,
    active boolean not null default true,
    -- The lowest of its variants' prices, for lists in the order of prices.
    price bigint not null,
    search tsvector not null generated always as (
        setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('english', category), 'B')
        || setweight(to_tsvector('english', description), 'C')
    ) stored,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint products_pkey primary key (slot, product_id)
);

create index products_newest_idx on products (created_at desc, product_id desc) where active;
create index products_category_idx on products (category, created_at desc, product_id desc) where active;
create index products_price_idx on products (price, product_id) where active;
create index products_search_idx on products using gin (search);
create index products_attributes_idx on products using gin (attributes jsonb_path_ops);

create table variants (
    slot smallint not null,
    product_id uuid not null,
    sku text not null,
    -- Its place among the product's variants.
    position smallint not null,
    options jsonb not null,
    minor_units bigint not null,
    currency text not null,
    in_stock boolean not null default false,
    -- Of the stock level that `in_stock` was taken from.
    stock_version bigint not null default 0,
    constraint variants_pkey primary key (slot, product_id, sku),
    constraint variants_price_check check (minor_units > 0)
);

-- The last known stock level of a SKU, in the SKU's slot: it may come before the product.
create table sku_stock (
    slot smallint not null,
    sku text not null,
    in_stock boolean not null,
    version bigint not null,
    constraint sku_stock_pkey primary key (slot, sku)
);

-- Apart from products, so that a sale raises no version.
create table product_popularity (
    slot smallint not null,
    product_id uuid not null,
    score bigint not null,
    constraint product_popularity_pkey primary key (slot, product_id)
);
