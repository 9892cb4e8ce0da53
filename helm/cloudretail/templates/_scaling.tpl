{{- define "cloudretail.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - {type: Percent, value: 100, periodSeconds: 30}
    - {type: Pods, value: {{ .upPods }}, periodSeconds: 30}
scaleDown:
  stabilizationWindowSeconds: {{ .downStabilizationSeconds }}
  selectPolicy: Min
  policies:
    - {type: Percent, value: 50, periodSeconds: 60}
    - {type: Pods, value: {{ .downPods }}, periodSeconds: 60}
{{- end }}

{{- define "cloudretail.scaling" -}}
{{- $values := .root.Values -}}
{{- $scaling := .wanted.autoscaling -}}
{{- $sale := dict -}}
{{- if $values.sale.enabled }}{{ $sale = index $values.sale.services .name | default dict }}{{ end }}
---
{{- if $values.keda.enabled }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ .name }}
  labels: {{- include "cloudretail.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: {{ .target.apiVersion }}, kind: {{ .target.kind }}, name: {{ .name }}}
  minReplicaCount: {{ $scaling.min }}
  maxReplicaCount: {{ $sale.max | default $scaling.max }}
  {{- if $values.autoscaling.customMetrics }}
  # Without Prometheus as many pods stay as there are.
  fallback: {failureThreshold: 3, replicas: {{ $scaling.min }}, behavior: currentReplicasIfHigher}
  {{- end }}
  advanced:
    horizontalPodAutoscalerConfig:
      name: {{ .name }}
      behavior: {{- include "cloudretail.behavior" $scaling | nindent 8 }}
  triggers:
    - type: cpu
      metricType: Utilization
      metadata: {value: {{ $scaling.cpu | quote }}}
    - type: memory
      metricType: Utilization
      metadata: {value: {{ $scaling.memory | quote }}}
    {{- if $values.autoscaling.customMetrics }}
    - type: prometheus
      metadata:
        serverAddress: {{ $values.monitoring.prometheusUrl }}
        query: sum(rate({{ .service.metric }}_requests_total{namespace="{{ .root.Release.Namespace }}",service="{{ .name }}"}[1m]))
        threshold: {{ $scaling.requestsPerSecond | quote }}
    - type: prometheus
      metadata:
        serverAddress: {{ $values.monitoring.prometheusUrl }}
        query: sum(kafka_consumer_lag{namespace="{{ .root.Release.Namespace }}",service="{{ .name }}"}) or vector(0)
        threshold: {{ $scaling.consumerLag | quote }}
    {{- end }}
    {{- with $sale }}
    - type: cron
      metadata:
        timezone: {{ $values.sale.timezone }}
        start: {{ $values.sale.start }}
        end: {{ $values.sale.end }}
        desiredReplicas: {{ .min | quote }}
    {{- end }}
{{- else }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  labels: {{- include "cloudretail.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: {{ .target.apiVersion }}, kind: {{ .target.kind }}, name: {{ .name }}}
  minReplicas: {{ $scaling.min }}
  maxReplicas: {{ $scaling.max }}
  behavior: {{- include "cloudretail.behavior" $scaling | nindent 4 }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ $scaling.cpu }}}}
    - type: Resource
      resource: {name: memory, target: {type: Utilization, averageUtilization: {{ $scaling.memory }}}}
    {{- if $values.autoscaling.customMetrics }}
    - type: Pods
      pods:
        metric: {name: {{ .service.metric }}_requests_per_second}
        target: {type: AverageValue, averageValue: {{ $scaling.requestsPerSecond | quote }}}
    - type: External
      external:
        metric:
          name: kafka_consumer_lag
          selector: {matchLabels: {service: {{ .name }}}}
        target: {type: AverageValue, averageValue: {{ $scaling.consumerLag | quote }}}
    {{- end }}
{{- end }}
{{- end }}
