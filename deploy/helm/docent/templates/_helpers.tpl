{{- define "docent.name" -}}
{{ printf "%s" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "docent.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "docent.secret" -}}
{{ .Values.existingSecret | default (include "docent.name" .) }}
{{- end }}

{{- define "docent.labels" -}}
app.kubernetes.io/name: docent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "docent.selector" -}}
app.kubernetes.io/name: docent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of every pod: nobody's account, nothing writable but memory. */}}
{{- define "docent.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "docent.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "docent.environment" -}}
envFrom:
  - configMapRef: {name: {{ include "docent.name" . }}}
{{- end }}

{{- define "docent.mounts" -}}
- {name: home, mountPath: /var/lib/docent}
- {name: tmp, mountPath: /tmp}
- {name: shared, mountPath: /dev/shm}
- {name: secrets, mountPath: /etc/docent, readOnly: true}
{{- end }}

{{- define "docent.volumes" -}}
- {name: home, emptyDir: {sizeLimit: 64Mi}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- {name: shared, emptyDir: {medium: Memory, sizeLimit: 256Mi}}
{{- end }}
