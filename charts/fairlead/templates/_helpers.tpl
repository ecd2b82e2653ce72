{{- /* Names do not depend on the release: the programs know some, and a cluster has one Fairlead. */ -}}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/part-of: fairlead
{{- end }}

{{- /* image: a list of the top and the component */ -}}
{{- define "fairlead.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- $component := index . 1 -}}
{{- $digest := get $image.digests $component -}}
{{- $image.repository }}/{{ $component }}{{ if $digest }}@{{ $digest }}{{ else }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* args: what both programs are told; a list of the top, the port for probes and that for metrics over TLS */ -}}
{{- define "fairlead.args" -}}
{{- $top := index . 0 -}}
- --http-address=:{{ index . 1 }}
- --log-level={{ $top.Values.logLevel }}
- --log-format={{ $top.Values.logFormat }}
{{- with $top.Values.loadBalancerClass }}
- --load-balancer-class={{ . }}
{{- end }}
{{- with $top.Values.metrics.tls }}
{{- if .enabled }}
- --metrics-tls-address=:{{ index $ 2 }}
{{- if .secretName }}
- --metrics-tls-cert-file=/etc/fairlead/metrics/tls.crt
- --metrics-tls-key-file=/etc/fairlead/metrics/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* probes, and what else all containers have alike */ -}}
{{- define "fairlead.probes" -}}
# It answers as soon as it has started, so that there is no startupProbe. To wait for something outside is to be alive:
# no restart would help.
livenessProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 5
  timeoutSeconds: 5
# The last line says why it could not start.
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{- /* the rules that serving metrics over TLS needs */ -}}
{{- define "fairlead.reviews" -}}
{{- if .Values.metrics.tls.enabled }}
# Who scrapes the metrics, and whether they may.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end }}

{{- define "fairlead.relabelings" -}}
relabelings:
# People look for a node, not for a Pod of a DaemonSet.
- sourceLabels: [__meta_kubernetes_pod_node_name]
  targetLabel: node
{{- end }}
