//! The catalogue's calls: proto in, proto out.

mod convert;

use chassis::server::{Permissions, Who};
use proto::product::v1::product_service_server::ProductService;
use proto::product::v1::{
    BatchGetVariantsRequest, BatchGetVariantsResponse, CreateCategoryRequest,
    CreateCategoryResponse, CreateProductRequest, CreateProductResponse, DeleteProductRequest,
    DeleteProductResponse, GetProductRequest, GetProductResponse, ListCategoriesRequest,
    ListCategoriesResponse, ListProductsRequest, ListProductsResponse, SearchProductsRequest,
    SearchProductsResponse, SoldVariant, UpdateProductRequest, UpdateProductResponse,
    get_product_request,
};
use tonic::{Request, Response, Status, async_trait};

use crate::error::Error;
use crate::product::VARIANTS_MAX;
use crate::store::{Change, Search, Store};
use convert::{draft, id, page, sku};

type Answer<T> = Result<Response<T>, Status>;

pub(crate) fn permissions() -> Permissions {
    Permissions::new([
        ("ListCategories", Who::Anyone),
        ("CreateCategory", Who::Staff),
        ("ListProducts", Who::Anyone),
        ("SearchProducts", Who::Anyone),
        ("GetProduct", Who::Anyone),
        ("CreateProduct", Who::Staff),
        ("UpdateProduct", Who::Staff),
        ("DeleteProduct", Who::Staff),
        ("BatchGetVariants", Who::Service("order")),
    ])
}

pub(crate) struct Api {
    store: Store,
}

impl Api {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl ProductService for Api {
    async fn list_categories(
        &self,
        _: Request<ListCategoriesRequest>,
    ) -> Answer<ListCategoriesResponse> {
        let categories = self.store.list_categories().await?;
        let categories = categories.into_iter().map(Into::into).collect();
        Ok(Response::new(ListCategoriesResponse { categories }))
    }

    async fn create_category(
        &self,
        request: Request<CreateCategoryRequest>,
    ) -> Answer<CreateCategoryResponse> {
        let draft = convert::category_draft(request.into_inner())?;
        let category = self.store.create_category(draft).await?;
        Ok(Response::new(CreateCategoryResponse {
            category: Some(category.into()),
        }))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Answer<ListProductsResponse> {
        let request = request.into_inner();
        let page = page(request.page)?;
        let listed = self
            .store
            .search(&Search::newest(request.category), &page)
            .await?;
        Ok(Response::new(ListProductsResponse {
            products: listed.products.into_iter().map(Into::into).collect(),
            next_cursor: listed.next_cursor.unwrap_or_default(),
        }))
    }

    async fn search_products(
        &self,
        request: Request<SearchProductsRequest>,
    ) -> Answer<SearchProductsResponse> {
        let mut request = request.into_inner();
        let page = page(request.page.take())?;
        let listed = self.store.search(&convert::search(request)?, &page).await?;
        Ok(Response::new(SearchProductsResponse {
            products: listed.products.into_iter().map(Into::into).collect(),
            next_cursor: listed.next_cursor.unwrap_or_default(),
        }))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<GetProductResponse> {
        let found = match request.into_inner().product {
            Some(get_product_request::Product::ProductId(product_id)) => {
                self.store.find(id(&product_id)?).await?
            }
            Some(get_product_request::Product::Slug(slug)) => {
                self.store.find_by_slug(&slug).await?
            }
            None => None,
        };
        let product = Some(found.ok_or(Error::NotFound)?);
        Ok(Response::new(GetProductResponse { product }))
    }

    async fn create_product(
        &self,
        request: Request<CreateProductRequest>,
    ) -> Answer<CreateProductResponse> {
        let draft = draft(request.into_inner())?;
        let product = self.store.create(draft).await?;
        Ok(Response::new(CreateProductResponse {
            product: Some(product.into()),
        }))
    }

    async fn update_product(
        &self,
        request: Request<UpdateProductRequest>,
    ) -> Answer<UpdateProductResponse> {
        let request = request.into_inner();
        let product_id = id(&request.product_id)?;
        let before = self
            .store
            .find_newest(product_id)
            .await?
            .ok_or(Error::NotFound)?;
        let change = Change {
            expected_version: request.expected_version,
            active: request.active.unwrap_or(before.active),
            draft: convert::changed(before.draft.clone(), request)?,
        };
        let product = self.store.update(&before, change).await?;
        Ok(Response::new(UpdateProductResponse {
            product: Some(product.into()),
        }))
    }

    async fn delete_product(
        &self,
        request: Request<DeleteProductRequest>,
    ) -> Answer<DeleteProductResponse> {
        let request = request.into_inner();
        let product_id = id(&request.product_id)?;
        let product = self
            .store
            .find_newest(product_id)
            .await?
            .ok_or(Error::NotFound)?;
        self.store
            .deactivate(&product, request.expected_version)
            .await?;
        Ok(Response::new(DeleteProductResponse {}))
    }

    async fn batch_get_variants(
        &self,
        request: Request<BatchGetVariantsRequest>,
    ) -> Answer<BatchGetVariantsResponse> {
        let request = request.into_inner();
        if request.skus.len() + request.product_ids.len() > VARIANTS_MAX {
            return Err(convert::too_many("skus", VARIANTS_MAX).into());
        }
        let skus = request.skus.iter().map(|text| sku("skus", text));
        let skus = skus.collect::<Result<Vec<_>, _>>()?;
        let mut variants: Vec<SoldVariant> = Vec::new();
        let by_sku = self.store.find_by_skus(&skus).await?;
        for product in by_sku {
            let wanted = |variant: &SoldVariant| skus.iter().any(|sku| sku.as_str() == variant.sku);
            variants.extend(convert::sold(product).filter(wanted));
        }
        for product_id in &request.product_ids {
            let found = self.store.find(id(product_id)?).await?;
            variants.extend(found.into_iter().flat_map(convert::sold));
        }
        variants.sort_by(|a, b| a.sku.cmp(&b.sku));
        variants.dedup_by(|a, b| a.sku == b.sku);
        Ok(Response::new(BatchGetVariantsResponse { variants }))
    }
}
