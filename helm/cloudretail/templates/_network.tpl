{{- /* Entries of a policy's list, each on one line. */ -}}

{{- /* Pods of this release by their names. */ -}}
{{- define "cloudretail.pods" -}}
{podSelector: {matchExpressions: [{key: app.kubernetes.io/name, operator: In, values: {{ toJson .names }}}, {key: app.kubernetes.io/instance, operator: In, values: [{{ .root.Release.Name }}]}]}}
{{- end }}

{{- define "cloudretail.databasePods" -}}
{{- if eq .Values.databases.mode "cnpg" -}}
{{- $clusters := list -}}
{{- range .Values.databases.shards }}{{ $clusters = append $clusters (printf "postgres-%s" .name) }}{{ end -}}
{podSelector: {matchExpressions: [{key: cnpg.io/cluster, operator: In, values: {{ toJson $clusters }}}]}}
{{- else -}}
{podSelector: {matchLabels: {cloudretail/kind: database, app.kubernetes.io/instance: {{ .Release.Name }}}}}
{{- end -}}
{{- end }}

{{- define "cloudretail.namespace" -}}
{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . }}}}}
{{- end }}

{{- /* The port of a URL. */ -}}
{{- define "cloudretail.portOf" -}}
{{- $default := hasPrefix "https:" . | ternary "443" "80" -}}
{{- (urlParse .).host | regexFind ":[0-9]+$" | trimPrefix ":" | default $default -}}
{{- end }}
