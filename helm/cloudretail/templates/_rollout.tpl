{{- /* Argo Rollouts' strategy. Behind the gateway callers take every pod, so that weights are shares of pods. */ -}}
{{- define "cloudretail.rollout" -}}
{{- $values := .root.Values -}}
{{- $isGateway := eq .name "gateway" -}}
{{- if eq $values.rollout.strategy "canary" -}}
canary:
  maxUnavailable: 0
  maxSurge: 25%
  {{- if $isGateway }}
  stableService: gateway
  canaryService: gateway-canary
  {{- if $values.ingress.enabled }}
  trafficRouting:
    nginx: {stableIngress: gateway}
  {{- end }}
  {{- end }}
  analysis:
    startingStep: 1
    templates: [{templateName: {{ .name }}}]
    args:
      - name: hash
        valueFrom: {podTemplateHashValue: Latest}
  steps:
    - setWeight: 5
    - pause: {duration: {{ $values.rollout.firstPause }}}
    - setWeight: 25
    - pause: {duration: {{ $values.rollout.pause }}}
    - setWeight: 50
    - pause: {duration: {{ $values.rollout.pause }}}
    - setWeight: 100
{{- else -}}
blueGreen:
  activeService: {{ $isGateway | ternary "gateway" (printf "%s-headless" .name) }}
  previewService: {{ .name }}-preview
  autoPromotionEnabled: true
  scaleDownDelaySeconds: {{ $values.shutdown.graceSeconds }}
  postPromotionAnalysis:
    templates: [{templateName: {{ .name }}}]
    args:
      - name: hash
        valueFrom: {podTemplateHashValue: Latest}
{{- end }}
{{- end }}
