//! A bare server that gives one answer, from memory.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use reqwest::Url;
use tokio::net::TcpListener;

/// Asks for `url` once, and answers its path with the same bytes and headers until it is ended.
pub async fn serve(listen: SocketAddr, url: Url) -> anyhow::Result<()> {
    let answer = reqwest::get(url.clone()).await?.error_for_status()?;
    let mut headers = answer.headers().clone();
    // These two are the server's own.
    headers.remove(header::DATE);
    headers.remove(header::CONTENT_LENGTH);
    let body = answer.bytes().await?;
    let router = Router::new().route(
        url.path(),
        get(async move || (headers.clone(), body.clone())),
    );
    let listener = TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, router).await?)
}
