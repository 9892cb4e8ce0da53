{{- /*
A private JWK set with one Ed25519 key, as `user create-keys` makes it. The seed is the end of the key's PKCS #8
form; the public half is what stands behind its type's mark in a certificate of the key.
*/ -}}
{{- define "cloudretail.signingKeys" -}}
{{- $pem := genPrivateKey "ed25519" -}}
{{- $der := regexReplaceAll "-----[A-Z ]+-----|\\s" $pem "" | b64dec -}}
{{- $seed := substr 16 48 $der -}}
{{- $certificate := (genSelfSignedCertWithKey "signing-keys" nil nil 1 $pem).Cert -}}
{{- $certificate = regexReplaceAll "-----[A-Z ]+-----|\\s" $certificate "" | b64dec -}}
{{- $public := index (splitList (b64dec "MCowBQYDK2VwAyEA") $certificate) 1 | substr 0 32 -}}
{{- $x := include "cloudretail.base64url" $public -}}
{{- $key := dict
  "kid" (sha256sum $x | trunc 32) "kty" "OKP" "crv" "Ed25519" "alg" "EdDSA" "use" "sig"
  "x" $x "d" (include "cloudretail.base64url" $seed)
-}}
{{- dict "keys" (list $key) | toJson -}}
{{- end }}

{{- define "cloudretail.base64url" -}}
{{ b64enc . | replace "+" "-" | replace "/" "_" | trimAll "=" }}
{{- end }}
