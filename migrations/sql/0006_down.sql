DROP FUNCTION add_signing_key, find_token_family, find_refresh_token, find_oauth_client, find_oidc_user, tenant_of_issuer, forget_lapsed_tokens;
DROP TABLE authorization_codes, refresh_tokens, token_families, oauth_clients, signing_keys;
