{{- /* What the code settles: the same in every environment. */ -}}
{{- define "cloudretail.services" -}}
gateway: {port: 8080, metric: http, calls: [user, product, order, inventory, payment], backend: false}
user: {port: 9001, metric: grpc, calls: [], backend: true, commitsLocally: true}
product: {port: 9002, metric: grpc, calls: [], backend: true, commitsLocally: true}
order: {port: 9003, metric: grpc, calls: [user, product, inventory, payment], backend: true}
inventory: {port: 9004, metric: grpc, calls: [], backend: true}
payment: {port: 9005, metric: grpc, calls: [], backend: true}
{{- end }}

{{- /* What this release wants of a service: the defaults, and its own values over them. */ -}}
{{- define "cloudretail.wanted" -}}
{{- $own := index .root.Values.services .name | default dict -}}
{{- $wanted := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy $own) -}}
{{- /* Its two forms exclude each other. */ -}}
{{- with $own.disruption }}{{ $_ := set $wanted "disruption" . }}{{ end -}}
{{- toYaml $wanted -}}
{{- end }}

{{- define "cloudretail.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "cloudretail.labels" -}}
{{ include "cloudretail.selector" . }}
app.kubernetes.io/part-of: cloudretail
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* Labels of a pod: no version of the chart, whose change would restart it. */ -}}
{{- define "cloudretail.podLabels" -}}
{{ include "cloudretail.selector" . }}
app.kubernetes.io/part-of: cloudretail
{{- end }}

{{- define "cloudretail.image" -}}
{{ .root.Values.image.repository }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "cloudretail.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "cloudretail.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Gives the volume `data` of a `storageClass` to `user`, where it is a folder of root's. */ -}}
{{- define "cloudretail.handOver" -}}
{{- $of := . -}}
{{- if .root.Values.volumes.handOver -}}
{{- range (lookup "storage.k8s.io/v1" "StorageClass" "" "").items -}}
{{- $isDefault := eq "true" (dig "annotations" "storageclass.kubernetes.io/is-default-class" "" .metadata) -}}
{{- if and (eq .provisioner "kubernetes.io/host-path") ($of.storageClass | empty | ternary $isDefault (eq .metadata.name $of.storageClass)) -}}
initContainers:
  - name: hand-over
    image: {{ $of.root.Values.images.postgres.name | quote }}
    imagePullPolicy: {{ $of.root.Values.image.pullPolicy }}
    command: [chown, {{ printf "%v:%v" $of.user $of.user | quote }}, /data]
    securityContext: {{- include "cloudretail.containerSecurity" $of | nindent 6 | replace "drop: [ALL]" "drop: [ALL], add: [CHOWN]" }}
      runAsNonRoot: false
      runAsUser: 0
      runAsGroup: 0
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 64Mi}
    volumeMounts:
      - {name: data, mountPath: /data}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* What every pod has; `user` is the one that its image knows. */ -}}
{{- define "cloudretail.pod" -}}
automountServiceAccountToken: false
# Otherwise every Service here would be variables like ORDER_PORT, which a service refuses as unknown settings.
enableServiceLinks: false
securityContext: {{- include "cloudretail.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Connection strings by shard: `role`, the `password` variable, and where the servers are. */ -}}
{{- define "cloudretail.dsns" -}}
{{- $dsns := list -}}
{{- range $shard := .root.Values.databases.shards -}}
{{- $host := printf "postgres-%s%s" $shard.name $.suffix -}}
{{- $dsns = append $dsns (printf "%s=postgres://%s:$(%s)@%s:5432/%s" $shard.name $.role $.password $host $.database) -}}
{{- end -}}
{{- join "," $dsns -}}
{{- end }}

{{- /* What comes behind `postgres-<shard>`: primary, replica or direct. */ -}}
{{- define "cloudretail.suffix" -}}
{{- $databases := .root.Values.databases -}}
{{- if eq $databases.mode "chart" -}}
{{- get (dict "primary" "" "direct" "" "replica" "-replica") .of -}}
{{- else if $databases.pooler.enabled -}}
{{- get (dict "primary" "-pooler-rw" "direct" "-rw" "replica" "-pooler-ro") .of -}}
{{- else -}}
{{- get (dict "primary" "-rw" "direct" "-rw" "replica" "-ro") .of -}}
{{- end -}}
{{- end }}

{{- define "cloudretail.kafkaBrokers" -}}
{{ eq .Values.kafka.mode "chart" | ternary "kafka:9092" "kafka-kafka-bootstrap:9092" }}
{{- end }}

{{- define "cloudretail.secretVariable" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}
{{- end }}

{{- /* A service's settings. A secret of a connection string is a variable of its own, put in by the kubelet. */ -}}
{{- define "cloudretail.settings" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $values := $root.Values -}}
{{- $services := include "cloudretail.services" $root | fromYaml -}}
{{- $service := index $services $name -}}
{{- $wanted := include "cloudretail.wanted" . | fromYaml -}}
{{- $prefix := upper $name -}}
{{- $settings := dict
  "LISTEN" (printf "0.0.0.0:%v" $service.port)
  "ADMIN_LISTEN" (printf "0.0.0.0:%v" (add $service.port 1000))
  "LOG_FORMAT" "json"
  "TRACE_RATIO" $values.telemetry.traceRatio
  "LINGER_MS" $values.shutdown.lingerMs
  "DRAIN_MS" $values.shutdown.drainMs
  "KAFKA_BROKERS" (include "cloudretail.kafkaBrokers" $root)
-}}
{{- $scheme := eq $wanted.redis.mode "cluster" | ternary "redis-cluster" "redis" -}}
{{- $_ := set $settings "REDIS_URL" (printf "%s://default:$(REDIS_PASSWORD)@redis-%s:6379" $scheme $name) -}}
{{- with $values.telemetry.otlpEndpoint }}{{ $_ := set $settings "OTLP_ENDPOINT" . }}{{ end -}}
{{- range $peer := $service.calls -}}
{{- $_ := set $settings (printf "%s_ENDPOINTS" (upper $peer)) (printf "%s-headless:%v" $peer (index $services $peer).port) -}}
{{- end -}}
{{- if $service.backend -}}
{{- $of := dict "root" $root "role" $name "password" "DB_PASSWORD" "database" $name -}}
{{- $_ := set $settings "SHARDS" (include "cloudretail.dsns" (set $of "suffix" (include "cloudretail.suffix" (dict "root" $root "of" "primary")))) -}}
{{- if $values.databases.replicas -}}
{{- $_ := set $settings "REPLICAS" (include "cloudretail.dsns" (set $of "suffix" (include "cloudretail.suffix" (dict "root" $root "of" "replica")))) -}}
{{- end -}}
{{- end -}}
{{- if .migrates -}}
{{- $of := dict "root" $root "role" (printf "%s_owner" $name) "password" "DB_OWNER_PASSWORD" "database" $name -}}
{{- $_ := set $settings "DIRECT" (include "cloudretail.dsns" (set $of "suffix" (include "cloudretail.suffix" (dict "root" $root "of" "direct")))) -}}
{{- end -}}
{{- if eq $name "gateway" -}}
{{- $_ := set $settings "PROCESSES" $wanted.autoscaling.min -}}
{{- if $values.ingress.enabled }}{{ $_ := set $settings "TRUSTED_PROXIES" 1 }}{{ end -}}
{{- end -}}
{{- if eq $name "user" -}}
{{- $_ := set $settings "SIGNING_KEYS" "/etc/cloudretail/signing-keys.json" -}}
{{- $_ := set $settings "MAIL_DIR" "/var/mail" -}}
{{- end -}}
{{- if eq $name "payment" -}}
{{- $_ := set $settings "PROVIDER_URL" ($values.payments.providerUrl | default "http://simulator:9010") -}}
{{- end -}}
{{- range $key, $value := $wanted.settings }}{{ $_ := set $settings (upper $key) $value }}{{ end -}}
{{ include "cloudretail.secretVariable" (dict "variable" (printf "%s_CALLER_SECRET" $prefix) "secret" $values.secrets.name "key" "caller-secret") }}
{{ include "cloudretail.secretVariable" (dict "variable" "REDIS_PASSWORD" "secret" $values.secrets.name "key" "redis-password") }}
{{- if $service.backend }}
{{ include "cloudretail.secretVariable" (dict "variable" "DB_PASSWORD" "secret" (printf "db-%s" $name) "key" "password") }}
{{- end }}
{{- if .migrates }}
{{ include "cloudretail.secretVariable" (dict "variable" "DB_OWNER_PASSWORD" "secret" (printf "db-%s-owner" $name) "key" "password") }}
{{- end }}
{{- range $key, $value := $settings }}
- name: {{ $prefix }}_{{ $key }}
  value: {{ kindIs "float64" $value | ternary (toJson $value) (toString $value) | quote }}
{{- end }}
{{- end }}

{{- define "cloudretail.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if eq .name "user" }}
- {name: keys, mountPath: /etc/cloudretail, readOnly: true}
# One file for each mail; nothing sends them on yet.
- {name: mail, mountPath: /var/mail}
{{- end }}
{{- end }}

{{- define "cloudretail.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if eq .name "user" }}
- name: keys
  secret:
    secretName: {{ .root.Values.secrets.name }}
    items: [{key: signing-keys.json, path: signing-keys.json}]
- name: mail
  emptyDir: {}
{{- end }}
{{- end }}

{{- /* Whether `helm test` makes its staff account in the databases, where nobody shops. */ -}}
{{- define "cloudretail.testMakesStaff" -}}
{{- if and (not .Values.test.staffSecret) (eq .Values.databases.mode "chart") -}}yes{{- end -}}
{{- end }}
