"""Words of the reports that state no finding: asides, advice, comparison, technique and indication; all our own.

The templates are as in `phrases`; "[a|b]" chooses one of its alternatives.
"""

from collections.abc import Mapping

IRRELEVANT = (
    "[mild|moderate|multilevel] [spurring|disc space narrowing|osteophytes] along the [thoracic|lower "
    "thoracic|dorsal] [spine|vertebrae]",
    "[costochondral|tracheobronchial|coronary|mitral annular|vascular] calcification[|s] [noted|are "
    "seen|incidentally noted]",
    "[right|left] shoulder [arthritis|arthroplasty|prosthesis|degeneration] is [partly|partially|incompletely] imaged",
    "[nipple shadows|skin folds|hair braids|breast implants|buttons] [should not be mistaken for disease|are "
    "projected over the chest]",
    "[cholecystectomy|gastric|bowel] [clips|sutures|staples] [noted|again noted|unchanged]",
    "[gas|air] distended [stomach|colon|bowel] beneath the left diaphragm",
    "[both|the] [apices|angles|extreme bases] are [excluded from|cut off at the edge of] the [film|field of view]",
    "[prominent epicardial|pericardial] fat pad",
    "[flattened diaphragms|increased retrosternal airspace|barrel-shaped thorax], [suggesting|typical of] "
    "[emphysema|chronic obstructive disease|COPD]",
    "[azygos fissure|cervical rib|pectus excavatum|bifid rib], [a normal variant|an anatomic variant|congenital]",
    "[vertebroplasty cement|spinal fusion hardware|cervical plate|scoliosis rods] [in place|partly seen]",
    "[diaphragmatic eventration|hepatic enlargement|splenic flexure gas] [incidentally seen|as before]",
    "[previous|remote] [mastectomy|thyroidectomy|axillary dissection|lumpectomy]",
    "[image quality|penetration|exposure] is [adequate|suboptimal|satisfactory|diagnostic]",
    "[mild |moderate |]degenerative changes of the [thoracic |]spine",
    "[calcified|tortuous|atherosclerotic] [aorta|thoracic aorta|aortic arch]",
    "[the |]upper abdomen is [unremarkable|not well seen]",
    "[scoliosis|osteopenia|kyphosis|spondylosis] is [noted|present|mild]",
    "surgical clips in the [right|left] upper [quadrant|abdomen]",
    "the trachea is midline",
    "[low lung volumes|lung volumes are low|the lungs are hyperinflated]",
    "the patient is [slightly |]rotated",
    "soft tissues are unremarkable",
    "[old|calcified] granulomatous [disease|change]",
    "hiatal hernia[| is suspected]",
    "[evaluation|assessment] is limited by [body habitus|portable technique|motion|overlying objects]",
)
ADVICE = (
    "[short interval|close] follow-up [to document clearing|to ensure stability|until resolution] is "
    "[advised|recommended|suggested]",
    "[dedicated|cross-sectional|contrast enhanced] [imaging|CT|tomography] [could|would] [characterize|clarify] "
    "this [further|better]",
    "[echocardiography|ultrasound|bronchoscopy|thoracentesis|diuresis] [may help|could be considered]",
    "[results|these observations] were [paged|relayed|reported] to [the ward|the emergency department|the "
    "intern|the surgeon] at the time of [reading|dictation|review]",
    "[attending|resident] [physician |]has reviewed the images and agrees with the [interpretation|report]",
    "[recommend|suggest|consider] [follow-up|repeat radiograph|chest CT|clinical correlation][| if symptoms "
    "persist| in six weeks]",
    "findings [discussed|communicated] with the [team|referring physician|nurse] by telephone",
    "[recommend|suggest] [lateral view|upright films] for [better|further] evaluation",
)
COMPARED = (
    "compared [to|with] the [prior|previous|most recent] [study|radiograph|examination]",
    "since the [prior|previous] [study|examination]",
    "in the interval",
)
CHANGE = (
    "[aeration|inflation] has [improved|worsened|decreased]",
    "[technique|positioning|projection] differs",
    "the [appearance|picture|radiograph] is [essentially|largely|virtually] unchanged",
    "[little|no significant] interval change",
    "[overall |]stable [appearance|examination]",
    "slightly [better|worse] aeration",
)

EXAMINATION = (
    "chest, [portable AP|single AP view|one view]",
    "[AP portable|single frontal] [chest|chest radiograph]",
)
EXAMINATION_STANDING = (
    "chest, [PA and lateral|two views|PA view]",
    "[PA and lateral|frontal] [chest|chest radiograph]",
)
SYMPTOMS: Mapping[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": ("chest pain radiating to the back", "hypotension"),
    "Cardiomegaly": ("heart failure", "dyspnea on exertion", "leg swelling"),
    "Lung Opacity": ("cough", "hypoxia"),
    "Lung Lesion": ("weight loss", "smoker with cough", "known malignancy"),
    "Edema": ("shortness of breath", "heart failure", "renal failure"),
    "Consolidation": ("fever", "productive cough"),
    "Pneumonia": ("fever and cough", "leukocytosis", "sepsis"),
    "Atelectasis": ("postoperative", "hypoxia", "abdominal pain"),
    "Pneumothorax": ("sudden chest pain", "after biopsy", "trauma"),
    "Pleural Effusion": ("shortness of breath", "cirrhosis", "dullness at the base"),
    "Pleural Other": ("asbestos exposure", "prior empyema"),
    "Fracture": ("fall", "trauma", "rib pain"),
    "Support Devices": ("line placement", "intubated", "intensive care", "after cardiac surgery"),
}
COMPLAINTS = (
    "[wheezing|hemoptysis|palpitations|fatigue|malaise|nausea|vomiting|confusion|tachycardia|chills|night "
    "sweats|back pain|epigastric pain|headache|sore throat]",
    "[motor vehicle collision|stroke|seizure|anemia|gastrointestinal bleed|urinary "
    "infection|cellulitis|pancreatitis|overdose|dehydration|hyperglycemia]",
    "[immigration|employment|transplant|dialysis|chemotherapy|surgical] [screening|clearance|evaluation|workup]",
    "[cough|chest pain|shortness of breath|fever|dizziness|weakness|dyspnea|syncope|altered mental status]",
    "[preoperative evaluation|routine examination|positive skin test|annual physical|pre-employment]",
)
HISTORY = (
    "[known|longstanding|remote] [COPD|coronary disease|atrial fibrillation|breast "
    "cancer|lymphoma|sarcoidosis|tuberculosis|tobacco use|alcohol abuse|dementia|hepatitis|lupus]",
    "status post [bypass surgery|valve replacement|lobectomy|biopsy|hip replacement|colectomy|transplant|drainage]",
    "[assess|check|confirm] [interval change|line position|tube placement|lung volumes|resolution]",
    "history of [pneumonia|pneumothorax|heart failure|rib fracture|pleural effusion|lung "
    "cancer|asthma|diabetes|hypertension]",
    "evaluate for [pneumonia|edema|effusion|acute process|infiltrate|pneumothorax]",
    "[question|rule out] [pneumonia|pneumothorax|fluid overload|acute disease]",
)
