{{- /* What values.schema.json cannot say. */ -}}
{{- define "cloudretail.checks" -}}
{{- $root := . -}}
{{- range $name, $service := include "cloudretail.services" . | fromYaml -}}
{{- $wanted := include "cloudretail.wanted" (dict "root" $root "name" $name) | fromYaml -}}
{{- $scaling := $wanted.autoscaling -}}
{{- if gt (int $scaling.min) (int $scaling.max) -}}
{{- fail (printf "services.%s.autoscaling: min %v is above max %v" $name $scaling.min $scaling.max) -}}
{{- end -}}
{{- if ne 1 (list $wanted.disruption.minAvailable $wanted.disruption.maxUnavailable | compact | len) -}}
{{- fail (printf "services.%s.disruption: minAvailable or maxUnavailable, not both" $name) -}}
{{- end -}}
{{- if and (eq $name "gateway") (eq $wanted.redis.mode "cluster") -}}
{{- fail "services.gateway.redis.mode: its commands touch several keys, which a Redis Cluster refuses; take single" -}}
{{- end -}}
{{- end -}}
{{- range $name, $sale := .Values.sale.services -}}
{{- if gt (int $sale.min) (int $sale.max) -}}
{{- fail (printf "sale.services.%s: min %v is above max %v" $name $sale.min $sale.max) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.sale.enabled (not .Values.keda.enabled) -}}
{{- fail "sale.enabled: a sale is scheduled by KEDA; set keda.enabled" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.databases.shards -}}
{{- if has .name $names -}}
{{- fail (printf "databases.shards: shard %s is there twice" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- with .Values.databases -}}
{{- if gt (int .synchronousReplicas) (int .replicas) -}}
{{- fail (printf "databases.synchronousReplicas: %v cannot be waited for among %v replicas" .synchronousReplicas .replicas) -}}
{{- end -}}
{{- if and (eq .mode "cnpg") .pooler.enabled -}}
{{- /* Five databases with one role each; some connections stay for migrations and operators. */ -}}
{{- $needed := add 20 (mul 5 .pooler.instances (add .pooler.poolSize .pooler.reserveSize)) -}}
{{- if gt $needed (int64 .maxConnections) -}}
{{- fail (printf "databases.maxConnections: %v are fewer than the %v that all PgBouncers may open" .maxConnections $needed) -}}
{{- end -}}
{{- end -}}
{{- if and .backup.enabled (or (not .backup.destination) (not .backup.secret)) -}}
{{- fail "databases.backup: destination and secret are needed" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.tls.enabled (not .Values.ingress.tls.issuer) -}}
{{- fail "ingress.tls.issuer: TLS needs the name of a ClusterIssuer" -}}
{{- end -}}
{{- if not (or .Values.simulator.enabled .Values.payments.providerUrl) -}}
{{- fail "payments.providerUrl: a provider is needed, or simulator.enabled" -}}
{{- end -}}
{{- with .Values.shutdown -}}
{{- $needed := addf .preStopSeconds (divf (addf .lingerMs .drainMs) 1000) -}}
{{- if gt $needed (float64 .graceSeconds) -}}
{{- fail (printf "shutdown.graceSeconds: %v does not cover the %v s of preStopSeconds, lingerMs and drainMs" .graceSeconds $needed) -}}
{{- end -}}
{{- end -}}
{{- end }}
