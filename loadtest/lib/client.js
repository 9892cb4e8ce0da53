// A client of the REST API, as a shop would have it.

import http from 'k6/http';

export const URL = (__ENV.URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');

/** Sends one request. Its name is its operation in openapi.json. */
export function send(name, method, path, {body, token, headers, expected = [200]} = {}) {
  const params = {
    headers: {...headers},
    tags: {name},
    responseCallback: http.expectedStatuses(...expected),
    timeout: '20s',
  };
  if (token) params.headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) params.headers['Content-Type'] = 'application/json';
  const text = body === undefined ? null : JSON.stringify(body);
  return http.request(method, URL + path, text, params);
}

/** Like `send`, where nothing else than success makes sense: the body. */
export function need(name, method, path, options) {
  const response = send(name, method, path, options);
  const {expected = [200]} = options || {};
  if (!expected.includes(response.status)) {
    throw new Error(`${method} ${path} answered ${response.status}: ${response.error || response.body}`);
  }
  return response.json();
}

/** A session; each virtual user has one, and an account of its own. */
export class Session {
  constructor(email, password) {
    this.credentials = {email, password};
    this.expiresAt = 0;
  }

  /** An access token that is good for another minute; none where the shop does not give one. */
  token() {
    if (Date.now() > this.expiresAt - 60_000) {
      const response = this.renew();
      if (response.status !== 200) return undefined;
      const {accessToken, refreshToken, expiresIn} = response.json();
      Object.assign(this, {accessToken, refreshToken, expiresAt: Date.now() + expiresIn * 1000});
    }
    return this.accessToken;
  }

  renew() {
    const {refreshToken, credentials} = this;
    // It is good for once, whatever becomes of the answer.
    this.refreshToken = undefined;
    return refreshToken
      ? send('refreshSession', 'POST', '/api/auth/refresh', {body: {refreshToken}})
      : send('logIn', 'POST', '/api/auth/login', {body: credentials});
  }
}
